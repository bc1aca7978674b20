//! Edits of the settings of the fleet.

use crdt_state::RecordKey;
use crdt_state::fleet::TaskHistory;
use crdt_state::spec::Facet;

use super::{Editor, check_version};
use crate::edit::fleet::history_limit;
use crate::edit::{Edited, Refusal};

impl Editor<'_> {
    pub(super) fn update_fleet(
        &mut self,
        version: Option<u64>,
        task_history_limit: Option<i64>,
    ) -> Result<Edited, Refusal> {
        let held = self.catalog().fleet;
        check_version(version, held.version)?;
        let Some(asked) = task_history_limit else { return Ok(Edited::Done) };
        let limit = history_limit(asked)?;
        if limit != held.task_history_limit {
            let key = RecordKey::fleet_settings();
            self.replica.edit(key, Facet::TASK_HISTORY, &TaskHistory { limit }, self.wall_ms);
        }
        Ok(Edited::Done)
    }
}
