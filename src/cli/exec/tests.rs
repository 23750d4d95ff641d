//! What `exec` promises, against a server that misbehaves.
//!
//! These tests run the parts without the process around them; the whole command, with terminals and signals, is tested
//! from outside.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use serde_json::json;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::api::{Api, FinishInput, StartInput, Status};
use super::child::{self, End};
use super::queue::{Limits, Queue};
use super::sender::{Outcome, Sender};
use super::spool::{Header, Spool};
use super::test_support::{Fault, Mock, TOKEN, block, finish_input, start_input};
use super::*;
use crate::client::{Client, TokenSource};

struct Recording {
    queue: Arc<Queue>,
    start: StartInput,
    api: Arc<Api>,
    folder: tempfile::TempDir,
}

impl Recording {
    fn at(address: impl std::fmt::Display) -> Self {
        Self::with_token(address, TOKEN)
    }

    fn with_token(address: impl std::fmt::Display, token: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let start = start_input();
        let server: Url = format!("http://{address}").parse().unwrap();
        let header = Header { server: server.to_string(), start: start.clone(), first_seq: 0 };
        let queue = Arc::new(Queue::new(header, limits(folder.path(), 1000)));
        let client = Client::new(&server, TokenSource::Given(token.into())).unwrap();
        Self { queue, start, api: Arc::new(Api::new(client)), folder }
    }

    fn sender(&self) -> Sender {
        Sender {
            api: Arc::clone(&self.api),
            queue: Arc::clone(&self.queue),
            start: self.start.clone(),
            resumed: false,
            ended_elsewhere: Arc::new(Notify::new()),
        }
    }

    fn write(&self, numbers: std::ops::Range<usize>) {
        for number in numbers {
            self.queue.push(block(&format!("line {number}\n")));
        }
    }

    fn close(&self) {
        self.queue.close(FinishInput { id: self.start.id, ..finish_input() });
    }

    fn files(&self) -> usize {
        self.folder.path().read_dir().unwrap().count()
    }

    /// Opens what was kept, as `--resume` does after this process has ended.
    fn resume(&mut self, path: &Path) -> Sender {
        self.queue = Arc::new(Queue::new(test_support::header(), limits(self.folder.path(), 0)));
        let opened = Spool::open(path).unwrap();
        let end = opened.end.clone().unwrap();
        self.queue = Arc::new(Queue::resume(opened, end, limits(self.folder.path(), 0)));
        Sender { resumed: true, ..self.sender() }
    }
}

fn limits(folder: &Path, memory_bytes_max: usize) -> Limits {
    Limits { memory_bytes_max, spool_bytes_max: 1 << 30, spool_folder: folder.to_owned() }
}

fn numbered(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("line {number}")).collect()
}

async fn until(what: impl Fn() -> bool) {
    timeout(Duration::from_secs(20), async {
        while !what() {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_recording_has_a_start_its_lines_and_an_end() {
    let mock = Mock::default();
    let recording = Recording::at(mock.serve().await);
    recording.write(0..1200);
    recording.close();
    assert_eq!(recording.sender().run().await, Outcome::Delivered);

    let shared = mock.lock();
    assert_eq!(shared.start.as_ref().unwrap()["id"], json!(recording.start.id));
    assert_eq!(shared.messages(), numbered(0..1200));
    assert_eq!(shared.finish.as_ref().unwrap()["status"], "COMPLETED");
    assert_eq!(recording.files(), 0);
}

#[tokio::test]
async fn each_line_arrives_once_whatever_is_lost_on_the_way() {
    let faults = [Fault::LostAnswer, Fault::Busy, Fault::Unavailable];
    for shift in 0..faults.len() {
        let mock = Mock::default();
        // Every second call fails, the start and the end among them.
        mock.lock().faults = (0..6).flat_map(|call| [Some(faults[(call + shift) % 3]), None]).collect();
        let recording = Recording::at(mock.serve().await);
        let sender = tokio::spawn(recording.sender().run());
        recording.write(0..700);
        until(|| mock.lock().lines.len() == 700).await;
        mock.lock().faults = [Some(faults[shift])].into();
        recording.write(700..1500);
        recording.close();
        assert_eq!(sender.await.unwrap(), Outcome::Delivered);
        assert_eq!(mock.lock().messages(), numbered(0..1500));
        assert_eq!(mock.lock().faults.len(), 0);
    }
}

#[tokio::test]
async fn a_lost_answer_to_the_end_is_not_an_error() {
    let mock = Mock::default();
    let recording = Recording::at(mock.serve().await);
    let sender = tokio::spawn(recording.sender().run());
    until(|| mock.lock().start.is_some()).await;
    sleep(Duration::from_millis(100)).await;
    mock.lock().faults = [Some(Fault::LostAnswer)].into();
    recording.close();
    assert_eq!(sender.await.unwrap(), Outcome::Delivered);
}

#[tokio::test]
async fn a_server_that_comes_late_gets_everything() {
    let mock = Mock::default();
    // A port that was free a moment ago.
    let address = Mock::default().serve().await;
    let address = std::net::SocketAddr::from(([127, 0, 0, 2], address.port()));
    let recording = Recording::at(address);
    let sender = tokio::spawn(recording.sender().run());
    recording.write(0..5000);
    assert_eq!(recording.files(), 1, "more than memory may hold");
    sleep(Duration::from_millis(300)).await;
    mock.serve_at(address).await;
    until(|| mock.lock().lines.len() == 5000).await;
    recording.write(5000..5010);
    recording.close();
    assert_eq!(sender.await.unwrap(), Outcome::Delivered);
    assert_eq!(mock.lock().messages(), numbered(0..5010));
    assert_eq!(recording.files(), 0);
}

#[tokio::test]
async fn what_was_not_delivered_in_time_is_delivered_later_without_repeats() {
    let mock = Mock::default();
    let mut recording = Recording::at(mock.serve().await);
    let sender = tokio::spawn(recording.sender().run());
    recording.write(0..600);
    until(|| mock.lock().lines.len() == 600).await;
    // The next one arrives, but this side never learns of it.
    mock.lock().faults = [Fault::LostAnswer].into_iter().chain([Fault::Busy; 50]).map(Some).collect();
    recording.write(600..700);
    until(|| mock.lock().lines.len() > 600).await;
    sender.abort();
    assert!(sender.await.unwrap_err().is_cancelled());
    recording.write(700..800);
    recording.close();
    let path = recording.queue.keep().unwrap();
    let lines_before = mock.lock().lines.len();
    assert!(lines_before < 800);

    mock.lock().faults.clear();
    assert_eq!(recording.resume(&path).run().await, Outcome::Delivered);
    assert_eq!(mock.lock().messages(), numbered(0..800));
    assert_eq!(mock.lock().status.as_deref(), Some("COMPLETED"));
    assert!(!path.exists());
}

#[tokio::test]
async fn a_final_error_ends_the_delivery_and_keeps_the_rest() {
    let mock = Mock::default();
    let recording = Recording::at(mock.serve().await);
    let sender = tokio::spawn(recording.sender().run());
    recording.write(0..10);
    until(|| mock.lock().lines.len() == 10).await;
    mock.lock().faults = [Some(Fault::Forbidden)].into();
    recording.write(10..20);
    assert!(matches!(sender.await.unwrap(), Outcome::Refused(error) if error.code == "FORBIDDEN"));
    recording.write(20..30);
    recording.close();
    let path = recording.queue.keep().unwrap();
    assert!(path.exists());
}

#[tokio::test]
async fn without_a_valid_token_nothing_is_recorded_and_nothing_is_left() {
    let mock = Mock::default();
    let recording = Recording::with_token(mock.serve().await, "wrong");
    recording.write(0..5000);
    assert!(matches!(recording.sender().run().await, Outcome::NotStarted(error) if !error.retryable));
    assert_eq!(recording.files(), 0);
}

#[tokio::test]
async fn an_execution_that_was_cancelled_on_the_server_takes_no_more() {
    let mock = Mock::default();
    let recording = Recording::at(mock.serve().await);
    let sender = recording.sender();
    let told = Arc::clone(&sender.ended_elsewhere);
    let sender = tokio::spawn(sender.run());
    recording.write(0..10);
    until(|| mock.lock().lines.len() == 10).await;
    mock.lock().status = Some("CANCELLED".into());
    recording.write(10..5000);
    timeout(Duration::from_secs(5), told.notified()).await.unwrap();
    assert_eq!(sender.await.unwrap(), Outcome::EndedElsewhere(Some(Status::Cancelled)));
    recording.write(5000..9000);
    assert_eq!(recording.files(), 0);
}

#[tokio::test]
async fn a_hole_is_a_final_error_and_not_taken_for_an_end() {
    let mock = Mock::default();
    let recording = Recording::at(mock.serve().await);
    let sender = tokio::spawn(recording.sender().run());
    recording.write(0..10);
    until(|| mock.lock().lines.len() == 10).await;
    // As after a restore from an old copy.
    mock.lock().lines.truncate(4);
    sleep(Duration::from_millis(100)).await;
    recording.write(10..20);
    assert!(matches!(sender.await.unwrap(), Outcome::Refused(error) if error.code == "CONFLICT"));
}

#[tokio::test]
async fn lines_that_the_command_adds_by_itself_displace_none() {
    let mock = Mock::default();
    let recording = Recording::at(mock.serve().await);
    let sender = tokio::spawn(recording.sender().run());
    for round in 0..5 {
        mock.lock().foreign_lines = 3;
        recording.write(round * 10..round * 10 + 10);
        until(|| mock.lock().lines.len() == (round + 1) * 13).await;
    }
    recording.close();
    assert_eq!(sender.await.unwrap(), Outcome::Delivered);
    let mut messages = mock.lock().messages();
    messages.retain(|message| message != "foreign");
    messages.sort_by_key(|message| message[5..].parse::<usize>().unwrap());
    assert_eq!(messages, numbered(0..50));
}

#[tokio::test]
async fn a_queued_execution_begins_to_run_and_keeps_its_lines() {
    let mock = Mock::default();
    mock.lock().status = Some("QUEUED".into());
    mock.lock().lines = vec![json!({ "message": "queued" })];
    let recording = Recording::at(mock.serve().await);
    recording.write(0..3);
    recording.close();
    assert_eq!(recording.sender().run().await, Outcome::Delivered);
    assert_eq!(mock.lock().messages(), ["queued", "line 0", "line 1", "line 2"]);
}

#[tokio::test]
async fn a_single_line_is_sent_at_once_and_many_small_ones_together() {
    let mock = Mock::default();
    let recording = Recording::at(mock.serve().await);
    let sender = tokio::spawn(recording.sender().run());
    for number in 0..200 {
        recording.write(number..number + 1);
        sleep(Duration::from_millis(2)).await;
    }
    recording.close();
    assert_eq!(sender.await.unwrap(), Outcome::Delivered);
    let shared = mock.lock();
    assert_eq!(shared.lines.len(), 200);
    assert!(shared.appends < 60, "{} requests", shared.appends);
}

async fn run_command(script: &str) -> (Arc<Queue>, End, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let header = Header { server: String::new(), start: start_input(), first_seq: 0 };
    let queue = Arc::new(Queue::new(header, limits(folder.path(), 1 << 20)));
    let command: Vec<OsString> = ["sh", "-c", script].map(OsString::from).to_vec();
    let environment = [("RUNLEDGER_EXECUTION_ID", "the-id".to_owned())];
    let running = child::start(&command, &environment, &queue).unwrap();
    let mut signals = Signals::listen().unwrap();
    let end = wait(running, &mut signals, None).await.end;
    queue.close(finish_input());
    (queue, end, folder)
}

async fn recorded(queue: &Arc<Queue>) -> Vec<(lines::Stream, Vec<u8>)> {
    let mut batches = batch::Batches::new(Arc::clone(queue));
    let mut all = Vec::new();
    loop {
        batches.ready().await.unwrap();
        let batch::Work::Send(batch) = batches.take().await.unwrap() else { return all };
        all.extend(batch.lines.into_iter().map(|line| {
            let exact = line.fields.and_then(|fields| fields.bytes_base64);
            let bytes = exact.map_or(line.message.into_bytes(), |text| {
                base64::engine::general_purpose::STANDARD.decode(text).unwrap()
            });
            (line.stream, bytes)
        }));
    }
}

#[tokio::test]
async fn both_outputs_are_recorded_with_their_bytes_and_the_exit_status() {
    let (queue, end, _folder) = run_command(
        "printf 'out\\000\\n'; sleep 0.1; printf 'err\\377\\r\\n' >&2; sleep 0.1; printf \"$RUNLEDGER_EXECUTION_ID\"; exit 3",
    )
    .await;
    assert_eq!((end.exit_code, end.status), (3, Status::Failed));
    assert_eq!(
        recorded(&queue).await,
        [
            (lines::Stream::Stdout, b"out\0".to_vec()),
            (lines::Stream::Stderr, b"err\xff\r".to_vec()),
            (lines::Stream::Stdout, b"the-id".to_vec()),
        ]
    );
}

#[tokio::test]
async fn what_a_command_leaves_behind_does_not_hold_up_its_end_and_its_last_words_are_heard() {
    let began = Instant::now();
    let (queue, end, _folder) = run_command("(sleep 0.5; echo later; sleep 60) & echo now").await;
    assert_eq!(end.exit_code, 0);
    assert!(began.elapsed() < Duration::from_secs(10));
    let words: Vec<_> = recorded(&queue).await.into_iter().map(|(_, bytes)| bytes).collect();
    assert_eq!(words, [b"now".to_vec(), b"later".to_vec()]);
}

#[tokio::test]
async fn a_signal_is_passed_on_to_the_command() {
    let recording = Recording::at("127.0.0.1:9");
    let script = "trap 'echo heard; exit 5' TERM; echo ready; while :; do sleep 0.05; done";
    let command: Vec<OsString> = ["sh", "-c", script].map(OsString::from).to_vec();
    let mut running = child::start(&command, &[], &recording.queue).unwrap();
    assert!(matches!(recording.queue.next().await.unwrap(), queue::Next::Block(_)));
    let pid = Pid::from_raw(running.child.id().unwrap().try_into().unwrap()).unwrap();
    Signals::listen().unwrap().pass_on(Signal::TERM, pid);
    assert_eq!(running.child.wait().await.unwrap().code(), Some(5));
    assert!(matches!(recording.queue.next().await.unwrap(), queue::Next::Block(_)));
}

#[tokio::test]
async fn a_command_that_kills_itself_has_failed() {
    let (_queue, end, _folder) = run_command("kill -9 $$").await;
    assert_eq!((end.exit_code, end.status), (137, Status::Failed));
}

#[tokio::test]
async fn a_command_that_does_not_exist_is_not_started() {
    let recording = Recording::at("127.0.0.1:9");
    let error =
        child::start(&["/nonexistent/command".into()], &[], &recording.queue).map(|_| ()).unwrap_err();
    assert_eq!(End::not_started(&error).exit_code, 127);
}
