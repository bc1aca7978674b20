//! Identity in QUIC: TLS 1.3 with bare ed25519 keys (RFC 7250) on both sides, so that a peer is
//! identified by its key alone: no certificate, no name, no date.
//!
//! rustls's own code checks the signature over the handshake; a peer that passes has the secret
//! half of the key that it shows. Whether that node belongs to the fleet is checked by `admission`.

use std::sync::Arc;
use std::time::Duration;

use crdt_state::NodeId;
use crdt_state::signature::PublicKey;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::crypto::{CryptoError, HmacKey};
use quinn::{
    ConnectionId, ConnectionIdGenerator, EndpointConfig, IdleTimeout, TransportConfig, VarInt,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, ring, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{
    CertificateDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime,
};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible,
    SignatureScheme,
};

use crate::identity::NodeKey;

/// The name of the protocol between agents.
const ALPN: &[u8] = b"edge/1";

/// The prefix of the 32 bytes of an ed25519 key in its SubjectPublicKeyInfo (RFC 8410, 4).
const SPKI_HEAD: [u8; 12] = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];

/// An unused connection ends after this. There is no keep-alive: idle links carry nothing.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Assumed round trip until it is measured. Lost packets of a handshake are sent again after three
/// of them, twice within the shortest deadline of a dial (2 s).
const INITIAL_RTT: Duration = Duration::from_millis(150);

/// Streams that an unknown peer may open: the one with its proof. So each unknown peer can make
/// this node hold one window of data.
const PROOFS_MAX: u32 = 1;

/// Streams that a member may have open. Messages are sent one after the other; of requests there
/// are at most this many (a follower of a service's logs has one per task of this node).
const MESSAGES_MAX: u32 = 4;
const REQUESTS_MAX: u32 = 64;

/// Bytes of one stream that are received and not yet read. At a round trip of 100 ms this allows
/// 320 kB/s, on a local network more than its disks write.
const STREAM_WINDOW: u32 = 32 * 1024;

/// The same for a connection: for all streams together, opened by the peer or by this node. With
/// less, one reader that pauses would stop all others. 4 MiB if all readers pause.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * (MESSAGES_MAX + 2 * REQUESTS_MAX);

/// Bytes that are sent and not yet acknowledged, per connection.
const SEND_WINDOW: u32 = 512 * 1024;

/// Why a connection is closed, as sent to the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Close {
    /// The agent ends.
    Going,
    /// The peer did not prove to know the fleet's key.
    OtherFleet,
    /// A message was not accepted in time, or another connection has replaced this one.
    Stale,
    /// It is this node itself.
    Myself,
    /// Operators removed the peer from the fleet.
    Evicted,
    /// This fleet does not have the token that the peer shows.
    UnknownToken,
    /// Too many wrong tokens came from the address of the peer.
    TooManyTokens,
}

impl Close {
    pub(super) fn code(self) -> VarInt {
        VarInt::from_u32(match self {
            Close::Going => 0,
            Close::OtherFleet => 1,
            Close::Stale => 2,
            Close::Myself => 3,
            Close::UnknownToken => 4,
            Close::TooManyTokens => 5,
            Close::Evicted => 6,
        })
    }
}

/// The key of the node at the other end of a connection.
pub(super) fn peer_key(connection: &quinn::Connection) -> Option<PublicKey> {
    let identity = connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    Some(PublicKey(ed25519_key(identity.first()?)?))
}

/// The node at the other end of a connection.
pub(super) fn peer(connection: &quinn::Connection) -> Option<NodeId> {
    Some(NodeId::of(&peer_key(connection)?))
}

fn ed25519_key(spki: &[u8]) -> Option<[u8; 32]> {
    spki.strip_prefix(&SPKI_HEAD)?.try_into().ok()
}

/// The endpoint of this node. The key of its stateless resets is derived from the node's key, so
/// that a restarted agent can tell earlier peers that their connections are gone.
pub(super) fn endpoint_config(key: &NodeKey) -> EndpointConfig {
    let reset_key = blake3::derive_key("edgectl quic reset key 1", &key.secret());
    let mut config = EndpointConfig::new(Arc::new(ResetKey(reset_key)));
    config.cid_generator(|| Box::new(RandomConnectionIds));
    // The fixed bit distinguishes QUIC from sealed datagrams: it must always be set.
    config.grease_quic_bit(false);
    config
}

/// For connections that peers dial.
pub(super) fn server_config(key: &NodeKey) -> quinn::ServerConfig {
    let resolver = rustls::server::AlwaysResolvesServerRawPublicKeys::new(certified(key));
    let mut tls = rustls::ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("ring speaks TLS 1.3")
        .with_client_cert_verifier(Arc::new(AnyNode::new()))
        .with_cert_resolver(Arc::new(resolver));
    tls.alpn_protocols = vec![ALPN.to_vec()];
    tls.send_tls13_tickets = 0;
    tls.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    let crypto = QuicServerConfig::try_from(tls).expect("ring has QUIC's first cipher suite");
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    config.transport_config(transport_config(PROOFS_MAX));
    config
}

/// For connections that this node dials.
pub(super) fn client_config(key: &NodeKey) -> quinn::ClientConfig {
    let resolver = rustls::client::AlwaysResolvesClientRawPublicKeys::new(certified(key));
    let mut tls = rustls::ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("ring speaks TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyNode::new()))
        .with_client_cert_resolver(Arc::new(resolver));
    tls.alpn_protocols = vec![ALPN.to_vec()];
    tls.enable_sni = false;
    tls.resumption = rustls::client::Resumption::disabled();
    let crypto = QuicClientConfig::try_from(tls).expect("ring has QUIC's first cipher suite");
    let mut config = quinn::ClientConfig::new(Arc::new(crypto));
    config.transport_config(transport_config(0));
    config
}

/// Lets an admitted peer open all the streams that a member may have.
pub(super) fn welcome(connection: &quinn::Connection) {
    connection.set_max_concurrent_uni_streams(MESSAGES_MAX.into());
    connection.set_max_concurrent_bi_streams(REQUESTS_MAX.into());
}

/// For an unknown peer: it can open one stream for its proof if it dialled, else none.
fn transport_config(proofs_max: u32) -> Arc<TransportConfig> {
    let mut config = TransportConfig::default();
    config
        .max_idle_timeout(Some(IdleTimeout::try_from(IDLE_TIMEOUT).expect("30 s fit")))
        .initial_rtt(INITIAL_RTT)
        .stream_receive_window(STREAM_WINDOW.into())
        .receive_window(CONNECTION_WINDOW.into())
        .send_window(SEND_WINDOW.into())
        .max_concurrent_uni_streams(0_u32.into())
        .max_concurrent_bidi_streams(proofs_max.into())
        .datagram_receive_buffer_size(None)
        // Probing for a larger packet costs 7 kB per connection; most connections carry less than
        // that.
        .mtu_discovery_config(None);
    Arc::new(config)
}

fn certified(key: &NodeKey) -> Arc<CertifiedKey> {
    let spki = [SPKI_HEAD.as_slice(), key.public_key().as_slice()].concat();
    let signer = ring::sign::any_eddsa_type(&PrivatePkcs8KeyDer::from(key.pkcs8()))
        .expect("ring takes every ed25519 key");
    Arc::new(CertifiedKey::new(vec![CertificateDer::from(spki)], signer))
}

/// Accepts every node that has the secret half of the ed25519 key it shows.
#[derive(Debug)]
struct AnyNode {
    algorithms: WebPkiSupportedAlgorithms,
}

impl AnyNode {
    fn new() -> AnyNode {
        AnyNode { algorithms: ring::default_provider().signature_verification_algorithms }
    }

    fn check(&self, spki: &CertificateDer<'_>) -> Result<(), Error> {
        match ed25519_key(spki) {
            Some(_) => Ok(()),
            None => Err(Error::InvalidCertificate(CertificateError::BadEncoding)),
        }
    }

    fn verify(
        &self,
        message: &[u8],
        spki: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let spki = SubjectPublicKeyInfoDer::from(spki.as_ref());
        verify_tls13_signature_with_raw_key(message, &spki, signature, &self.algorithms)
    }
}

const NO_TLS12: Error = Error::PeerIncompatible(PeerIncompatible::Tls12NotOffered);

impl ServerCertVerifier for AnyNode {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(end_entity).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(NO_TLS12)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify(message, cert, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for AnyNode {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(end_entity).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(NO_TLS12)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify(message, cert, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

/// Signs stateless resets.
struct ResetKey([u8; 32]);

impl HmacKey for ResetKey {
    fn sign(&self, data: &[u8], signature_out: &mut [u8]) {
        blake3::Hasher::new_keyed(&self.0).update(data).finalize_xof().fill(signature_out);
    }

    fn signature_len(&self) -> usize {
        blake3::OUT_LEN
    }

    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        let wanted = blake3::keyed_hash(&self.0, data);
        let found = <[u8; 32]>::try_from(signature).map_err(|_| CryptoError)?;
        if wanted == found { Ok(()) } else { Err(CryptoError) }
    }
}

/// Any id may belong to an earlier start of this node, so that it answers each unknown one with a
/// reset.
struct RandomConnectionIds;

/// As long as quinn's own: no two of a million connections share one.
const CONNECTION_ID_BYTES: usize = 8;

impl ConnectionIdGenerator for RandomConnectionIds {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut bytes = [0; CONNECTION_ID_BYTES];
        getrandom::fill(&mut bytes).expect("random bytes made the node's key a moment ago");
        ConnectionId::new(&bytes)
    }

    fn cid_len(&self) -> usize {
        CONNECTION_ID_BYTES
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}
