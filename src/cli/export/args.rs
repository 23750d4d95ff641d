//! The options of `runledger export`.

use std::path::PathBuf;

use clap::ValueEnum;
use serde_json::Value;

use crate::cli::connection::Connection;
use crate::domain::export::Format;

/// Write executions of a server to a file or to standard output, of any number.
///
/// An execution that is there all the while comes exactly once. A file appears when it is whole, or not at all.
///
/// Examples:
///   runledger export --output runs.csv
///   runledger export --filter '{"statuses": ["FAILED"]}' --include inputs,error | jq .error
///
/// Exit status: 0 when everything was written; 1 when not; 2 for a wrong option.
#[derive(Debug, Clone, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Where to write [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,

    /// How to write [default: as the name of the output file ends, else ndjson]
    #[arg(long)]
    format: Option<FormatName>,

    /// Which executions, as JSON with the fields of the API's ExecutionFilter [default: all]
    #[arg(long, value_name = "JSON", value_parser = json)]
    pub(super) filter: Option<Value>,

    /// Begin with these
    #[arg(long, default_value = "newest")]
    pub(super) order: OrderName,

    /// Large values to be added
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(super) include: Vec<ValueName>,

    #[command(flatten)]
    pub(super) connection: Connection,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FormatName {
    Csv,
    Json,
    Ndjson,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum OrderName {
    Newest,
    Oldest,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum ValueName {
    Inputs,
    Result,
    Error,
}

impl Args {
    /// As asked for, or as the name of the file says.
    pub(super) fn format(&self) -> Format {
        let named = self.format.map(|format| match format {
            FormatName::Csv => Format::Csv,
            FormatName::Json => Format::Json,
            FormatName::Ndjson => Format::Ndjson,
        });
        let by_file = || Format::of_extension(self.output.as_ref()?.extension()?.to_str()?);
        named.or_else(by_file).unwrap_or(Format::Ndjson)
    }
}

impl OrderName {
    /// As the API has it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Newest => "NEWEST",
            Self::Oldest => "OLDEST",
        }
    }
}

impl ValueName {
    /// As the API has it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Inputs => "INPUTS",
            Self::Result => "RESULT",
            Self::Error => "ERROR",
        }
    }
}

fn json(text: &str) -> Result<Value, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
    if value.is_object() { Ok(value) } else { Err("not a JSON object".into()) }
}
