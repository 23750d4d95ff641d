//! The options of `runledger import`.

use std::path::PathBuf;
use std::time::Duration;

use chrono::TimeDelta;

use crate::cli::connection::Connection;
use crate::cli::duration;

/// Save generated projects that are folders on this machine as generations on a server.
///
/// Two layouts are taken, also mixed: FOLDER/PROJECT/generations/vN__ID/… and FOLDER/ID/…, where a manifest.json may name
/// the project. A generation keeps its id if that is a UUID, and else gets the same new one each time, so that running it
/// again sends nothing twice. The generations of a project are saved in the order of their numbers. What cannot be taken
/// (links, devices, folders without files, …) is skipped and listed.
///
/// It needs a running server; start one with `runledger`. The folders are only read.
///
/// Exit status: 0 when everything is on the server, and in its cloud storage if it has one; with --dry-run, when
/// everything can be sent. 1 when anything was skipped or has failed. 2 for a wrong option.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The folder with the projects
    #[arg(value_name = "FOLDER")]
    pub(super) folder: PathBuf,

    /// Say what would be sent, and send nothing
    #[arg(long)]
    pub(super) dry_run: bool,

    /// Take only the project with this key
    #[arg(long, value_name = "KEY")]
    pub(super) project: Option<String>,

    /// Write a report as JSON to this file, too
    #[arg(long, value_name = "FILE")]
    pub(super) report: Option<PathBuf>,

    /// How long to wait at the end for the server's uploads to its cloud storage, such as 30s, 10m or 1h
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = duration::parse)]
    upload_timeout: TimeDelta,

    #[command(flatten)]
    pub(super) connection: Connection,
}

impl Args {
    /// How long to wait at the end for uploads.
    pub(super) fn upload_timeout(&self) -> Duration {
        self.upload_timeout.to_std().unwrap_or_default()
    }
}
