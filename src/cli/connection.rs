//! Which server a command talks to, and who vouches for it.

use std::path::PathBuf;

use reqwest::Url;

use crate::client::{Client, TokenSource, is_loopback};

/// Where a server listens unless it is told otherwise.
const SERVER_DEFAULT: &str = "http://127.0.0.1:8080";
/// The file in a server's data folder with the secret that it made for itself.
const SECRET_FILE: &str = "jwt-secret";

/// The options of every command that talks to a server.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Connection {
    /// Address of the server [default: http://127.0.0.1:8080]
    #[arg(long, value_name = "URL", env = "RUNLEDGER_SERVER")]
    server: Option<Url>,

    /// Bearer token. Without one, the secret in the data folder of a server on this machine is used
    #[arg(long, value_name = "TOKEN", env = "RUNLEDGER_TOKEN", hide_env_values = true)]
    token: Option<String>,

    /// Data folder of a server on this machine
    #[arg(long, value_name = "FOLDER", env = "RUNLEDGER_DATA_DIR", default_value = "./data")]
    data_dir: PathBuf,
}

impl Connection {
    /// The server's address: as given, else `otherwise`, else where one is by default.
    ///
    /// # Errors
    /// That `otherwise` is no address.
    pub(super) fn url(&self, otherwise: Option<&str>) -> Result<Url, String> {
        match &self.server {
            Some(url) => Ok(url.clone()),
            None => {
                let text = otherwise.unwrap_or(SERVER_DEFAULT);
                text.parse().map_err(|error| format!("{text} is not a server's address: {error}"))
            }
        }
    }

    /// A client of `server`, which has not sent anything yet.
    ///
    /// # Errors
    /// That there is no token, and how to give one.
    pub(super) fn client(&self, server: &Url) -> Result<Client, String> {
        Client::new(server, self.token_source(server)?).map_err(|error| error.to_string())
    }

    /// Who vouches for the caller at `server`: the token that was given, else the secret of a server on this machine.
    fn token_source(&self, server: &Url) -> Result<TokenSource, String> {
        if let Some(token) = self.token.as_deref().map(str::trim).filter(|token| !token.is_empty()) {
            return Ok(TokenSource::Given(token.to_owned()));
        }
        if !is_loopback(server) {
            return Err("there is no token; give one with --token or RUNLEDGER_TOKEN".into());
        }
        let secret = self.data_dir.join(SECRET_FILE);
        if secret.is_file() {
            return Ok(TokenSource::LocalSecret(secret));
        }
        Err(format!("there is no token (--token, RUNLEDGER_TOKEN), and no {}", secret.display()))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        connection: Connection,
    }

    fn parse(words: &[&str]) -> Connection {
        Cli::try_parse_from(["command"].iter().chain(words)).unwrap().connection
    }

    #[test]
    fn a_token_is_as_given_or_signed_for_a_server_on_this_machine_only() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().to_str().unwrap();
        let local = SERVER_DEFAULT.parse().unwrap();
        let remote = "https://runledger.example".parse().unwrap();

        let given = parse(&["--data-dir", data_dir, "--token", "t"]);
        assert_eq!(given.token_source(&remote), Ok(TokenSource::Given("t".into())));

        let none = parse(&["--data-dir", data_dir, "--token", ""]);
        assert!(none.token_source(&local).is_err());
        let secret = folder.path().join(SECRET_FILE);
        std::fs::write(&secret, "s").unwrap();
        assert_eq!(none.token_source(&local), Ok(TokenSource::LocalSecret(secret)));
        assert!(none.token_source(&remote).is_err());
    }

    #[test]
    fn the_address_is_as_given_or_remembered_or_where_a_server_is_by_default() {
        let given = parse(&["--server", "https://runledger.example"]);
        assert_eq!(given.url(Some("http://other.example")).unwrap().as_str(), "https://runledger.example/");
        assert_eq!(parse(&[]).url(Some("http://other.example")).unwrap().as_str(), "http://other.example/");
        assert_eq!(parse(&[]).url(None).unwrap().as_str(), "http://127.0.0.1:8080/");
        assert!(parse(&[]).url(Some("nowhere")).is_err());
    }
}
