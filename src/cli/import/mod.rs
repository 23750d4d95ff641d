//! `runledger import`: saves projects that are folders on this machine as generations on a server.
//!
//! Promises: there is one way in, `saveGeneration`, so that imported generations are checked, numbered and uploaded like
//! any other. It is idempotent by the ids of the generations, so an import that was cut off is simply run again; what is
//! there already is not even packed. One generation at a time, in order, because the server numbers them as they come; in
//! memory that does not grow with them: each is packed into an unnamed temporary file and sent from there. Each is
//! verified: the server says the size and the checksum of what it has, and, if it has cloud storage, whether that has it.

mod api;
mod args;
mod described;
mod id;
mod progress;
mod report;
mod scan;
mod send;
#[cfg(test)]
mod tests;

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use chrono::SecondsFormat;
use tokio::time::Instant;

pub use args::Args;

use api::Api;
use report::{Counts, Entry, Report};
use scan::Scan;
use send::Sender;

use super::notice::say;
use crate::clock;

/// The exit status when anything was skipped or has failed.
const FAILURE: u8 = 1;

/// Imports, and says how it went.
pub async fn run(args: Args) -> ExitCode {
    match import(&args).await {
        Ok(report) => {
            // A reader that has seen enough is no failure.
            let _ = std::io::stdout().write_all(report.text().as_bytes());
            let written = args.report.as_deref().map_or(Ok(()), |path| write(&report, path));
            match written {
                Ok(()) if report.is_clean() => ExitCode::SUCCESS,
                Ok(()) => ExitCode::from(FAILURE),
                Err(message) => failure(&message),
            }
        }
        Err(message) => failure(&message),
    }
}

fn failure(message: &str) -> ExitCode {
    say(message);
    ExitCode::from(FAILURE)
}

fn write(report: &Report, path: &Path) -> Result<(), String> {
    let text = serde_json::to_string_pretty(report).map_err(|error| error.to_string())?;
    fs::write(path, text + "\n").map_err(|error| format!("{} cannot be written: {error}", path.display()))
}

async fn import(args: &Args) -> Result<Report, String> {
    let (began, started_at) = (Instant::now(), clock::now());
    let server = args.connection.url(None)?;
    let api = Api::new(args.connection.client(&server)?);
    // Before the folder is looked through, which may take long.
    let tenant_id = api.tenant().await.map_err(|error| {
        let hint = if error.retryable { "; is it running? `runledger` starts one" } else { "" };
        format!("the server at {server} cannot be asked: {error}{hint}")
    })?;
    let (folder, project) = (args.folder.clone(), args.project.clone());
    let scanned = tokio::task::spawn_blocking(move || scan::scan(&folder, project.as_deref())).await;
    let Scan { found, broken } = scanned.map_err(|error| error.to_string())??;
    if let Some(project) = args.project.as_ref().filter(|_| found.is_empty() && broken.is_empty()) {
        return Err(format!("{} has no project {project}", args.folder.display()));
    }

    let mut sender = Sender::new(api, args.dry_run);
    let mut generations = sender.send(found, &tenant_id).await;
    sender.await_uploads(&mut generations, args.upload_timeout()).await;
    generations.extend(broken.into_iter().map(Entry::broken));
    Ok(Report {
        dry_run: args.dry_run,
        folder: args.folder.display().to_string(),
        server: server.to_string(),
        started_at: started_at.to_rfc3339_opts(SecondsFormat::Millis, true),
        duration: began.elapsed(),
        counts: Counts::of(&generations),
        generations,
    })
}
