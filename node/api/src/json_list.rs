//! Long lists, written one object after the other: a thousand services take the memory of their text
//! and of one service, where a list of all objects takes ten times as much.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Serialize;

/// Bytes of a piece: no piece is copied to a larger place while it grows.
const PIECE_BYTES: usize = 64 * 1024;

/// The items as an array.
pub fn json_list<T: Serialize>(items: impl Iterator<Item = T>) -> Response {
    let pieces = pieces(items);
    let length: usize = pieces.iter().map(Bytes::len).sum();
    let head =
        [(header::CONTENT_TYPE, "application/json"), (header::CONTENT_LENGTH, &length.to_string())];
    let body = Body::from_stream(stream::iter(pieces.into_iter().map(Ok::<_, Infallible>)));
    (head, body).into_response()
}

fn pieces<T: Serialize>(items: impl Iterator<Item = T>) -> Vec<Bytes> {
    let mut pieces = Vec::new();
    let mut piece = Vec::with_capacity(PIECE_BYTES);
    piece.push(b'[');
    for (at, item) in items.enumerate() {
        if at > 0 {
            piece.push(b',');
        }
        serde_json::to_writer(&mut piece, &item).expect("values of the API are plain JSON");
        // Room for one more that is not much larger than this one.
        if piece.len() > PIECE_BYTES * 7 / 8 {
            let next = Vec::with_capacity(PIECE_BYTES);
            pieces.push(std::mem::replace(&mut piece, next).into());
        }
    }
    piece.push(b']');
    pieces.push(piece.into());
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(items: &[String]) -> (usize, String) {
        let pieces = pieces(items.iter());
        (pieces.len(), String::from_utf8(pieces.concat()).expect("JSON is text"))
    }

    #[test]
    fn an_array_in_pieces_is_the_same_array() {
        let word = |number: usize| format!("{number} \"{}\"", "x".repeat(number % 3_000));
        for count in [0, 1, 2, 500] {
            let items: Vec<String> = (0..count).map(word).collect();
            let (pieces, text) = text(&items);
            assert_eq!(text, serde_json::to_string(&items).expect("JSON"), "{count}");
            assert_eq!(pieces > 1, count == 500);
        }
    }
}
