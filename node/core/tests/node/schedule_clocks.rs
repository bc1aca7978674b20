//! Jobs with a schedule, and members whose clocks are wrong.

use node_core::schedules::{ClockFault, TURN_MS, UNSURE_MS};

use crate::pair::Pair;
use crate::schedules::{
    DAY_MS, HOUR_MS, MINUTE_MS, START_MS, compare_clocks, complete_both, declared, job, pair,
    status, strangers,
};

#[test]
fn a_node_in_1970_leaves_runs_to_the_others() {
    for wrong in [0, 1] {
        let mut pair = pair();
        pair.hosts[wrong].clock_ms = 0;
        compare_clocks(&mut pair);
        let id = pair.hosts[1 - wrong].create(job("*/10 * * * *"));
        pair.wait(MINUTE_MS + TURN_MS + 100);
        let [one, other] = &pair.hosts;
        let by = [declared(one, one, id), declared(one, other, id)];
        assert_eq!((by[wrong], by[1 - wrong]), (None, Some((0, START_MS + MINUTE_MS))));
        assert!(matches!(status(&pair.hosts[wrong], id).fault, Some(ClockFault::Behind(_))));
        assert_eq!(complete_both(&mut pair).iter().sum::<usize>(), 1, "whoever owns the slot");
    }
}

#[test]
fn a_clock_that_was_compared_with_no_other_is_gone_by_later() {
    for ahead in [0, 1] {
        let mut pair = strangers();
        let id = pair.hosts[1 - ahead].create(job("*/10 * * * *"));
        pair.wait(1_000);
        pair.hosts[ahead].clock_ms += 2 * HOUR_MS;
        let by_itself = |pair: &Pair| declared(&pair.hosts[ahead], &pair.hosts[ahead], id);
        pair.wait(UNSURE_MS - 1_000);
        assert_eq!(by_itself(&pair), None);
        pair.wait(MINUTE_MS + TURN_MS);
        assert!(by_itself(&pair).is_some(), "nobody ever answers");
    }
}

#[test]
fn a_run_of_a_clock_that_was_a_year_ahead_does_not_keep_the_job_from_running() {
    let mut pair = pair();
    let id = pair.hosts[0].create(job("*/10 * * * *"));
    pair.wait(20_000);
    pair.is_heard = [false, false];
    pair.hosts[1].clock_ms += 365 * DAY_MS;
    pair.wait(2 * MINUTE_MS);
    let said = declared(&pair.hosts[1], &pair.hosts[1], id).expect("a year ahead");
    assert!(said.1 > START_MS + 364 * DAY_MS);
    assert_eq!(complete_both(&mut pair), [1, 1]);
    pair.hosts[1].clock_ms -= 365 * DAY_MS;
    pair.is_heard = [true, true];
    pair.wait(20_000);
    compare_clocks(&mut pair);
    assert_eq!(status(&pair.hosts[0], id).fault, None);
    for _ in 0..3 {
        pair.wait(10 * MINUTE_MS);
        assert_eq!(complete_both(&mut pair).iter().sum::<usize>(), 1);
    }
    let service = pair.hosts[0].node.service(id).expect("there");
    assert_eq!(service.run.map(|run| run.round), Some(1));
}
