//! `runledger export`: writes executions of a server to a file or to standard output.
//!
//! The server's export is passed on as it comes, in memory that does not grow with it. It cannot be taken up where it was
//! cut off, so a file that is not whole is not kept.

mod args;
mod count;

use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;
use serde_json::json;
use tempfile::NamedTempFile;

pub use args::Args;

use super::notice::say;
use crate::client::{Client, Export};
use count::Count;

const COUNT: &str =
    "query Count($filter: ExecutionFilter) { executions(filter: $filter, first: 0) { totalCount } }";

/// The exit status when not everything was written.
const FAILURE: u8 = 1;

#[derive(Deserialize)]
struct Counted {
    executions: Total,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Total {
    total_count: u64,
}

/// Exports, and says what went wrong.
pub async fn run(args: Args) -> ExitCode {
    match export(&args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            say(message);
            ExitCode::from(FAILURE)
        }
    }
}

async fn export(args: &Args) -> Result<(), String> {
    let server = args.connection.url(None)?;
    let client = args.connection.client(&server)?;
    let total = total(&client, args).await?;
    let format = args.format();
    let file_name = format!("executions.{}", format.extension());
    let filter = args.filter.as_ref().map(ToString::to_string);
    let include: Vec<_> = args.include.iter().map(|name| name.word()).collect();
    let include = include.join(",");
    let mut parameters = vec![("order", args.order.word()), ("include", &include)];
    parameters.extend(filter.as_deref().map(|filter| ("filter", filter)));
    let export = client.export(&file_name, &parameters).await.map_err(|error| error.to_string())?;

    let progress = progress(total);
    let count = Count::new(format);
    let outcome = match &args.output {
        None => pass_on(export, &mut std::io::stdout().lock(), count, &progress).await,
        Some(path) => into_file(export, path, count, &progress).await,
    };
    progress.finish_and_clear();
    outcome
}

/// Also finds out whether the server is there and knows the caller.
async fn total(client: &Client, args: &Args) -> Result<u64, String> {
    let variables = json!({ "filter": args.filter });
    let counted: Counted = client.graphql(COUNT, variables).await.map_err(|error| {
        let hint = if error.retryable { "; is the server running? `runledger` starts one" } else { "" };
        format!("{error}{hint}")
    })?;
    Ok(counted.executions.total_count)
}

/// The file is there when it is whole, or not at all.
async fn into_file(export: Export, path: &Path, count: Count, progress: &ProgressBar) -> Result<(), String> {
    let cannot = |error: &dyn std::fmt::Display| format!("{} cannot be written: {error}", path.display());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = NamedTempFile::new_in(folder).map_err(|error| cannot(&error))?;
    pass_on(export, &mut file, count, progress).await?;
    file.as_file().sync_all().map_err(|error| cannot(&error))?;
    file.persist(path).map_err(|error| cannot(&error))?;
    Ok(())
}

async fn pass_on(
    mut export: Export,
    to: &mut impl Write,
    mut count: Count,
    progress: &ProgressBar,
) -> Result<(), String> {
    while let Some(piece) = export.next().await.map_err(|error| error.to_string())? {
        count.add(&piece);
        progress.set_position(count.executions());
        match to.write_all(&piece) {
            // A reader that has seen enough is no failure.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
            written => written.map_err(|error| format!("the output cannot be written: {error}"))?,
        }
    }
    to.flush().map_err(|error| format!("the output cannot be written: {error}"))
}

/// A bar on standard error; nothing when that is no terminal.
fn progress(total: u64) -> ProgressBar {
    let bar = ProgressBar::new(total);
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} executions {elapsed}, {eta} left");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
