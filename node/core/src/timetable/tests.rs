//! What crontabs mean, line by line, where programs that read them differ.

use proptest::prelude::*;

use super::*;

fn timetable(cron: &str, zone: &str) -> Timetable {
    Timetable::parse(cron, zone).expect("a schedule")
}

/// The runs from a time on until another, in the zone.
fn runs(cron: &str, zone: &str, from: &str, until: &str) -> Vec<String> {
    let timetable = timetable(cron, zone);
    let at = |text: &str| {
        let local: DateTime = text.parse().expect("a time");
        seconds(local.to_zoned(timetable.zone.clone()).expect("a time").timestamp()).expect("late")
    };
    let (mut after, until) = (at(from) - 1, at(until));
    let mut found = Vec::new();
    while let Some(next) = timetable.next(after).filter(|next| *next < until) {
        let zoned = timestamp(next).expect("a time").to_zoned(timetable.zone.clone());
        found.push(zoned.strftime("%d %H:%M%:z").to_string());
        after = next;
    }
    found
}

fn refusal(cron: &str, zone: &str) -> String {
    Timetable::parse(cron, zone).expect_err("refused").to_string()
}

const BERLIN: &str = "Europe/Berlin";

/// The nights in which Berlin's clocks go from 2 to 3, and from 3 to 2.
fn spring(cron: &str) -> Vec<String> {
    runs(cron, BERLIN, "2026-03-29 00:00", "2026-03-29 06:00")
}

fn autumn(cron: &str) -> Vec<String> {
    runs(cron, BERLIN, "2026-10-25 00:00", "2026-10-25 06:00")
}

#[test]
fn a_run_in_an_hour_that_is_left_out_is_made_up_for_when_the_hour_is_over() {
    assert_eq!(spring("30 2 * * *"), ["29 03:00+02:00"]);
    assert_eq!(spring("0,30 2 * * *"), ["29 03:00+02:00"], "once, not once for each minute");
    assert_eq!(spring("*/15 2 * * *"), ["29 03:00+02:00"]);
    assert_eq!(spring("0 1-3 * * *"), ["29 01:00+01:00", "29 03:00+02:00"]);
    assert_eq!(spring("30 3 * * *"), ["29 03:30+02:00"]);
    let the_next = runs("30 2 * * *", BERLIN, "2026-03-30 00:00", "2026-03-31 00:00");
    assert_eq!(the_next, ["30 02:30+02:00"]);
}

#[test]
fn a_run_in_an_hour_that_comes_twice_happens_in_the_first() {
    assert_eq!(autumn("30 2 * * *"), ["25 02:30+02:00"]);
    assert_eq!(autumn("0,30 2 * * *"), ["25 02:00+02:00", "25 02:30+02:00"]);
    let four = autumn("*/15 2 * * *");
    assert_eq!((four.len(), four[3].as_str()), (4, "25 02:45+02:00"));
    assert_eq!(autumn("0 3 * * *"), ["25 03:00+01:00"]);
}

#[test]
fn what_runs_every_hour_runs_by_the_time_that_passes() {
    assert_eq!(
        spring("0 * * * *"),
        ["00:00+01:00", "01:00+01:00", "03:00+02:00", "04:00+02:00", "05:00+02:00"]
            .map(|time| format!("29 {time}"))
    );
    for (night, hours) in [(spring("*/15 * * * *"), 5), (autumn("*/15 * * * *"), 7)] {
        assert_eq!(night.len(), hours * 4, "{night:?}");
    }
    let twice: Vec<_> =
        autumn("30 * * * *").into_iter().filter(|run| run.contains("02:30")).collect();
    assert_eq!(twice, ["25 02:30+02:00", "25 02:30+01:00"]);
}

#[test]
fn a_day_without_a_midnight_has_its_daily_run() {
    let cairo = runs("@daily", "Africa/Cairo", "2026-04-23 12:00", "2026-04-25 12:00");
    assert_eq!(cairo, ["24 01:00+03:00", "25 00:00+03:00"]);
}

#[test]
fn weekdays_have_crontab_s_numbers_and_names() {
    let month = |cron: &str| runs(cron, "UTC", "2026-11-01 00:00", "2026-11-09 00:00");
    for sunday in ["0 0 * * 0", "0 0 * * 7", "0 0 * * sun", "0 0 * * Sun", "@weekly"] {
        assert_eq!(month(sunday), ["01 00:00+00:00", "08 00:00+00:00"], "{sunday}");
    }
    assert_eq!(month("0 0 * * 1"), ["02 00:00+00:00"]);
    assert_eq!(month("0 0 * * mon-fri").len(), 5);
    assert_eq!(month("0 0 * * 5-7").len(), 4);
    assert_eq!(month("0 0 2 nov *"), ["02 00:00+00:00"]);
}

#[test]
fn of_a_day_and_a_weekday_either_is_enough() {
    let november = runs("0 0 13 * fri", "UTC", "2026-11-01 00:00", "2026-12-01 00:00");
    let days: Vec<&str> = november.iter().map(|run| &run[..2]).collect();
    assert_eq!(days, ["06", "13", "20", "27"]);
    let november = runs("0 0 12 * fri", "UTC", "2026-11-01 00:00", "2026-12-01 00:00");
    assert_eq!(november.len(), 5);
}

#[test]
fn the_zone_is_that_of_the_schedule() {
    let utc = timetable("0 3 * * *", "UTC").next(SOME_DAY_S);
    assert_eq!(utc, Some(SOME_DAY_S + 3 * 3_600));
    let tokyo = timetable("0 3 * * *", "Asia/Tokyo");
    assert_eq!(tokyo.next(SOME_DAY_S), Some(SOME_DAY_S + 18 * 3_600));
    assert_eq!(tokyo.shown(SOME_DAY_S + 18 * 3_600), "2024-01-02 03:00 Asia/Tokyo");
}

#[test]
fn every_refusal_says_what_to_write() {
    for (cron, zone, said) in [
        ("0 0 31 2 *", "UTC", "has no run within five years"),
        ("0 0 30 feb *", "UTC", "write a day that there is"),
        ("0 0 3 * * *", "UTC", "has 6 fields, a schedule has five"),
        ("0 3 * * * 2027", "UTC", "no seconds and no years, leave them out"),
        ("0 3 * *", "UTC", "has 4 fields"),
        ("", "UTC", "has 0 fields"),
        ("@reboot", "UTC", "@reboot is no time of day; write a pattern like 0 3 * * *"),
        ("@every 5m", "UTC", "*/5 * * * *"),
        ("@noon", "UTC", "@daily"),
        ("5/15 * * * *", "UTC", "minute 5/15: a step needs a range: write 5-59/15"),
        ("0 22-2 * * *", "UTC", "hour 22-2: the range goes backwards: write 22-23,0-2"),
        ("0 0 * * FRI-MON", "UTC", "weekday FRI-MON: the range goes backwards: write FRI-6,0-MON"),
        ("60 * * * *", "UTC", "minute 60: write 0 to 59"),
        ("0 24 * * *", "UTC", "hour 24: write 0 to 23"),
        ("0 0 0 * *", "UTC", "day of the month 0: write 1 to 31"),
        ("0 0 L * *", "UTC", "day of the month L: write 1 to 31"),
        ("0 0 * * 5L", "UTC", "weekday 5L"),
        ("0 0 * * 5#2", "UTC", "weekday 5#2"),
        ("*/0 * * * *", "UTC", "a step is a number from 1"),
        (
            "0 3 * * *",
            "Berlin",
            "there is no time zone Berlin; write a name of the tz database: Europe/Berlin",
        ),
        ("0 3 * * *", "Mars/Olympus", "Europe/Berlin, or UTC"),
        ("0 3 * * *", "", "there is no time zone"),
    ] {
        let message = refusal(cron, zone);
        assert!(message.contains(said), "{cron} {zone}: {message}");
        assert!(!message.contains('\n'));
    }
    for written in ["22-23,0-2", "5-7", "*/15"] {
        Timetable::parse(&format!("0 {written} * * *"), "UTC").expect("as the refusals say");
    }
    Timetable::parse("0 0 * * FRI-6,0-MON", "UTC").expect("as the refusal says");
    Timetable::parse("0 0 29 2 *", "UTC").expect("once in four years");
}

#[test]
fn the_latest_run_is_found_over_years() {
    let leap = timetable("0 0 29 2 *", BERLIN);
    let (in_2024, in_2028) = (1_709_161_200, 1_835_391_600);
    assert_eq!(leap.next(in_2024), Some(in_2028));
    assert_eq!(leap.latest(0, in_2028 - 1), Some(in_2024));
    assert_eq!(leap.latest(in_2024, in_2028 - 1), None);
}

proptest! {
    #[test]
    fn the_latest_run_is_the_one_that_came_next(
        minute in prop::sample::select(vec!["0", "30", "*/7", "0,45", "*"]),
        hour in prop::sample::select(vec!["*", "0", "2", "1-3", "*/2", "23"]),
        days in prop::sample::select(vec!["* * *", "* * 0", "25 * *", "29 3,10 *"]),
        zone in prop::sample::select(vec![
            "UTC", BERLIN, "Africa/Cairo", "Australia/Lord_Howe", "America/New_York",
        ]),
        after in 1_735_689_600u64..1_893_456_000,
    ) {
        let timetable = timetable(&format!("{minute} {hour} {days}"), zone);
        let next = timetable.next(after).expect("a run");
        prop_assert!(next > after);
        prop_assert_eq!(timetable.latest(after, next), Some(next));
        prop_assert_eq!(timetable.latest(after, next + 59), Some(next));
        prop_assert_eq!(timetable.latest(after, next - 1), None);
        prop_assert!(timetable.latest(0, next - 1).is_some_and(|before| before <= after));
    }
}
