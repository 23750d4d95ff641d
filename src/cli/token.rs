//! `runledger token`: prints a token for somebody.

use chrono::TimeDelta;
use clap::{Args, ValueEnum};

use super::{Stop, duration};
use crate::auth::{Issuer, NewToken, Role, SERVICE_USER_ID};
use crate::clock;
use crate::config::{KeySource, Settings};
use crate::error::Code;

#[derive(Debug, Args)]
pub(super) struct Token {
    /// Who the token is for (`sub`). A service token needs no user.
    #[arg(
        long,
        value_name = "ID",
        required_unless_present = "role",
        required_if_eq_any = [("role", "member"), ("role", "admin")]
    )]
    user: Option<String>,
    /// The organisation to act for. Without it: the user's own tenant.
    #[arg(long, value_name = "ID")]
    org: Option<String>,
    /// What the token allows.
    #[arg(long, value_enum, default_value = "member")]
    role: RoleName,
    /// How long it is valid: a number with s, m, h or d.
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = duration::parse)]
    expires_in: TimeDelta,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RoleName {
    /// Writes the user's own rows.
    Member,
    /// Writes all rows of the organisation.
    Admin,
    /// Reads and writes all rows of all organisations.
    Service,
}

impl Token {
    pub(super) fn run(&self) -> Result<(), Stop> {
        super::print(&format!("{}\n", self.sign()?))
    }

    fn sign(&self) -> Result<String, Stop> {
        let config = super::started(&self.settings)?;
        // Only a server makes a secret: a token by a new one, in the wrong folder, would be of no use anywhere.
        let missing = config.tokens.keys.iter().find_map(|key| match key {
            KeySource::OwnSecret(file) if !file.exists() => Some(file.display()),
            _ => None,
        });
        if let Some(file) = missing {
            return Err(Stop::Usage(format!(
                "no server has made its secret {file} yet: start one first, name its folder with --data-dir, or set \
                 RUNLEDGER_JWT_SECRET"
            )));
        }
        let issuer = Issuer::new(&config.tokens)?.ok_or_else(|| {
            Stop::Usage(
                "cannot sign a token: only public keys (JWKS) are configured. Get a token from their issuer, or set \
                 RUNLEDGER_JWT_SECRET beside them"
                    .into(),
            )
        })?;
        let role = match self.role {
            RoleName::Member => Role::Member,
            RoleName::Admin => Role::Admin,
            RoleName::Service => Role::Service,
        };
        let token = NewToken {
            user: self.user.as_deref().unwrap_or(SERVICE_USER_ID),
            organisation: self.org.as_deref(),
            role,
            lifetime: self.expires_in,
        };
        issuer.sign(&token, clock::now()).map_err(|error| match error.code() {
            Code::BadInput => Stop::Usage(error.message()),
            _ => Stop::Failure(error),
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, FromArgMatches as _, Parser};

    use super::*;
    use crate::auth::Authenticator;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        token: Token,
    }

    fn parse(flags: &[&str]) -> Result<Token, clap::Error> {
        // Whatever the environment of the tests says.
        let command = Line::command().no_binary_name(true).mut_args(|argument| argument.env(None::<&str>));
        Line::from_arg_matches(&command.try_get_matches_from(flags)?).map(|line| line.token)
    }

    #[tokio::test]
    async fn a_printed_token_is_accepted() {
        let folder = tempfile::tempdir().unwrap();
        let data = ["--data-dir", folder.path().to_str().unwrap()];
        for (flags, user, tenant, role) in [
            (vec!["--user", "ada"], "ada", "user:ada", Role::Member),
            (vec!["--user", "ada", "--org", "acme", "--role", "admin"], "ada", "org:acme", Role::Admin),
            (vec!["--role", "service"], "service_role", "user:service_role", Role::Service),
        ] {
            let token = parse(&[&data[..], &flags].concat()).unwrap();
            let config = token.settings.check().unwrap();
            let server = Authenticator::new(&config.tokens).unwrap(); // makes the secret
            let viewer = server.authenticate(&token.sign().unwrap()).await.unwrap();
            assert_eq!((viewer.user_id(), viewer.tenant_id(), viewer.role()), (user, tenant, role));
        }
    }

    #[test]
    fn without_a_server_there_is_no_secret_to_sign_with() {
        let folder = tempfile::tempdir().unwrap();
        let token = parse(&["--user", "ada", "--data-dir", folder.path().to_str().unwrap()]).unwrap();
        assert!(matches!(token.sign(), Err(Stop::Usage(message)) if message.contains("--data-dir")));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "and none is made");
    }

    #[test]
    fn a_member_or_an_admin_is_somebody() {
        for flags in [vec![], vec!["--role", "admin"], vec!["--role", "member"], vec!["--org", "acme"]] {
            assert!(parse(&flags).is_err(), "{flags:?}");
        }
    }

    #[test]
    fn without_a_secret_it_says_what_to_do() {
        let token = parse(&["--user", "ada", "--jwks-urls", "https://a.example/k"]).unwrap();
        assert!(
            matches!(token.sign(), Err(Stop::Usage(message)) if message.contains("RUNLEDGER_JWT_SECRET"))
        );
    }
}
