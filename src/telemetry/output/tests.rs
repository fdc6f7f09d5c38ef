//! What a descriptor can do to a log, and what the log does then.

use std::collections::VecDeque;
use std::sync::Condvar;

use super::*;
use crate::lifecycle::vital::Vitals;

const BOUNDS: Bounds = Bounds { pieces: 3, bytes: 100 };
const PATIENCE: Duration = Duration::from_secs(20);

/// A descriptor that does as it is told, write by write, then takes everything.
#[derive(Clone, Default)]
struct Pipe(Arc<(Mutex<Told>, Condvar)>);

#[derive(Default)]
struct Told {
    script: VecDeque<Step>,
    written: Vec<u8>,
    blocked: bool,
    tries: usize,
}

enum Step {
    Take(usize),
    Fail(io::ErrorKind),
}

impl Pipe {
    fn scripted(steps: impl IntoIterator<Item = Step>) -> Self {
        let pipe = Self::default();
        pipe.told().script.extend(steps);
        pipe
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.0.0.lock().unwrap()
    }

    fn block(&self, blocked: bool) {
        self.told().blocked = blocked;
        self.0.1.notify_all();
    }

    fn wait(&self, until: impl Fn(&Told) -> bool) {
        let waited = self.0.1.wait_timeout_while(self.told(), PATIENCE, |told| !until(told)).unwrap();
        assert!(!waited.1.timed_out());
    }

    fn text(&self) -> String {
        String::from_utf8(self.told().written.clone()).unwrap()
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.told().tries += 1;
        self.0.1.notify_all();
        let mut told = self.0.1.wait_while(self.told(), |told| told.blocked).unwrap();
        let taken = match told.script.pop_front() {
            Some(Step::Fail(kind)) => return Err(kind.into()),
            Some(Step::Take(most)) => most.min(bytes.len()),
            None => bytes.len(),
        };
        told.written.extend_from_slice(&bytes[..taken]);
        self.0.1.notify_all();
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn output(pipe: &Pipe) -> (Output, Vitals) {
    let vitals = Vitals::default();
    let to = pipe.clone();
    (Output::start("test log", "test-log", BOUNDS, to, vitals.hold("test-log")).unwrap(), vitals)
}

fn line(number: usize) -> Vec<u8> {
    format!("line {number}\n").into_bytes()
}

#[test]
fn what_is_given_is_written_in_order_and_all_of_it_at_the_end() {
    let pipe = Pipe::scripted([Step::Take(1), Step::Take(3), Step::Fail(io::ErrorKind::Interrupted)]);
    let (output, vitals) = output(&pipe);
    (0..3).for_each(|number| output.queue().push_last(line(number)));
    vitals.end_is_due();
    assert_eq!(output.finish(PATIENCE), 0);
    assert_eq!(pipe.text(), "line 0\nline 1\nline 2\n");
    assert!(vitals.ended().is_empty());
}

#[test]
fn a_reader_that_stops_holds_up_nobody_and_what_has_no_room_is_counted() {
    let pipe = Pipe::default();
    pipe.block(true);
    let (output, _vitals) = output(&pipe);
    let queue = output.queue();
    queue.push(line(0)).unwrap();
    pipe.wait(|told| told.tries == 1);
    for number in 1..=3 {
        queue.push(line(number)).unwrap();
    }
    let refused = queue.push(line(4)).unwrap_err();
    assert_eq!(refused, line(4), "three pieces wait, one is being written");
    queue.lose(&refused);
    queue.push_last(line(5));
    pipe.block(false);
    pipe.wait(|told| told.written.ends_with(b"line 5\n"));
    assert_eq!(queue.lost_total(), 1);
    assert!(!pipe.text().contains("line 4"));
}

#[test]
fn what_waits_is_bounded_in_bytes_too() {
    let pipe = Pipe::default();
    pipe.block(true);
    let (output, _vitals) = output(&pipe);
    let queue = output.queue();
    queue.push(line(0)).unwrap();
    pipe.wait(|told| told.tries == 1);
    queue.push(vec![b'x'; 60]).unwrap();
    assert!(queue.push(vec![b'x'; 41]).is_err());
    queue.push(vec![b'x'; 40]).unwrap();
    pipe.block(false);
}

#[test]
fn a_full_disk_is_tried_again_and_no_line_is_torn() {
    let full = || Step::Fail(io::ErrorKind::StorageFull);
    let pipe = Pipe::scripted([full(), Step::Take(3), full(), full()]);
    let (output, _vitals) = output(&pipe);
    output.queue().push(line(0)).unwrap();
    pipe.wait(|told| told.written.ends_with(b"\n"));
    output.queue().push(line(1)).unwrap();
    pipe.wait(|told| told.written.ends_with(b"line 1\n"));
    assert_eq!((pipe.text().as_str(), output.queue().lost_total()), ("line 0\nline 1\n", 0));
}

#[test]
fn a_new_reader_gets_whole_lines() {
    let gone = || Step::Fail(io::ErrorKind::BrokenPipe);
    let pipe = Pipe::scripted([Step::Take(3), gone(), gone()]);
    let (output, _vitals) = output(&pipe);
    output.queue().push([line(0), line(1)].concat()).unwrap();
    pipe.wait(|told| told.written.ends_with(b"line 1\n"));
    assert_eq!((pipe.text().as_str(), output.queue().lost_total()), ("linline 1\n", 1));
}

#[test]
fn the_end_waits_for_no_disk_and_for_a_stalled_reader_only_so_long() {
    let full = Pipe::scripted((0..1000).map(|_| Step::Fail(io::ErrorKind::StorageFull)));
    let (output_full, _) = output(&full);
    output_full.queue().push(line(0)).unwrap();
    full.wait(|told| told.tries == 1);
    output_full.queue().push(line(1)).unwrap();
    assert_eq!(output_full.finish(PATIENCE), 2);

    let stalled = Pipe::default();
    stalled.block(true);
    let (output, _) = output(&stalled);
    output.queue().push(line(0)).unwrap();
    stalled.wait(|told| told.tries == 1);
    output.queue().push([line(1), line(2)].concat()).unwrap();
    assert_eq!(output.finish(Duration::from_millis(50)), 3);
    stalled.block(false);
}

#[test]
fn a_thread_that_dies_is_told_and_not_waited_for() {
    struct Broken;
    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            panic!("a fault")
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let vitals = Vitals::default();
    let output = Output::start("test log", "test-log", BOUNDS, Broken, vitals.hold("test-log")).unwrap();
    output.queue().push(line(0)).unwrap();
    assert_eq!(output.finish(PATIENCE), 1);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert!(runtime.block_on(vitals.first_ended()).panicked);
}
