//! What it costs to attach and detach one task.

use std::time::Instant;

use crate::lab::{Lab, apply, interface, plan, task_run};
use crate::{WORKS, median, ms};

/// Alone, and while others end.
pub fn one_task(lab: &Lab) {
    let started = Instant::now();
    let mut links = lab.open(1);
    println!("open with probe: {:.1} ms", ms(started));
    let started = Instant::now();
    apply(&mut links, &plan(1, 2, 50));
    println!("first apply, one network: {:.1} ms", ms(started));
    let mut times = (Vec::new(), Vec::new(), Vec::new());
    for task in 0..50 {
        let started = Instant::now();
        links.attach(task_run(1, task), &[interface(1, task)]).expect(WORKS);
        times.0.push(ms(started));
    }
    for task in 0..50 {
        let started = Instant::now();
        links.attach(task_run(1, task), &[interface(1, task)]).expect(WORKS);
        times.1.push(ms(started));
    }
    for task in 0..50 {
        let started = Instant::now();
        links.detach(task_run(1, task)).expect(WORKS);
        times.2.push(ms(started));
    }
    println!("attach, one interface, median of 50: {:.2} ms", median(times.0));
    println!("attach again, nothing to do, median of 50: {:.2} ms", median(times.1));
    println!("detach, median of 50: {:.2} ms", median(times.2));
    // A task starts while ten end.
    for is_later in [false, true] {
        let mut times = Vec::new();
        for round in 0..5 {
            for task in 0..10 {
                links.attach(task_run(1, task), &[interface(1, task)]).expect(WORKS);
            }
            let started = Instant::now();
            for task in 0..10 {
                match is_later {
                    true => links.detach_later(task_run(1, task)).expect(WORKS),
                    false => links.detach(task_run(1, task)).expect(WORKS),
                }
            }
            let task = 20 + round;
            links.attach(task_run(1, task), &[interface(1, task)]).expect(WORKS);
            times.push(ms(started));
            links.detach(task_run(1, task)).expect(WORKS);
            while links.has_ended() {
                links.detach_next().expect(WORKS);
            }
        }
        let when = if is_later { "later" } else { "at once" };
        println!(
            "attach while ten end that are removed {when}, median of 5: {:.1} ms",
            median(times)
        );
    }
    assert!(links.remove_all().failures.is_empty());
}
