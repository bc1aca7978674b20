//! Ids of what operators create.

use crdt_state::RecordKey;
use crdt_state::id::first_16;

use super::Editor;

impl Editor<'_> {
    /// The id of a new object of this kind, under which there never was a record.
    pub(super) fn new_id(
        &self,
        context: &'static str,
        name: &str,
        key: impl Fn([u8; 16]) -> RecordKey,
    ) -> [u8; 16] {
        match self.origin {
            Some(origin) => self.id_of_file(origin, name, key),
            None => self.id_of_creation(context, name),
        }
    }

    /// New for every creation: no writer uses the same counter twice.
    fn id_of_creation(&self, context: &'static str, name: &str) -> [u8; 16] {
        let created = self.replica.next_stamp();
        let mut hasher = blake3::Hasher::new_derive_key(context);
        hasher.update(&created.lamport.to_be_bytes());
        hasher.update(&created.writer.node.0);
        hasher.update(&created.writer.store.0.to_be_bytes());
        hasher.update(name.as_bytes());
        first_16(&hasher.finalize())
    }

    /// The same wherever it is created, and another one after each removal.
    fn id_of_file(
        &self,
        origin: [u8; 16],
        name: &str,
        key: impl Fn([u8; 16]) -> RecordKey,
    ) -> [u8; 16] {
        let numbered = (0u64..).map(|number| {
            let mut hasher = blake3::Hasher::new_derive_key("edgectl id of a file's object 1");
            hasher.update(&origin);
            hasher.update(&number.to_be_bytes());
            hasher.update(name.as_bytes());
            first_16(&hasher.finalize())
        });
        let is_new = |id: &[u8; 16]| self.replica.record(&key(*id)).is_none();
        numbered.into_iter().find(is_new).expect("there are fewer removals than numbers")
    }
}
