//! PostHog's batch API: <https://posthog.com/docs/api/capture>.

use std::time::Duration;

use reqwest::{Client, StatusCode, Url, redirect};
use serde_json::json;
use tokio::time::sleep;

use super::Captured;
use crate::config::{self, Secret};
use crate::error::{Error, Result};

/// How long one attempt may take.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long is waited before the second and the third attempt; there is no fourth.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];

pub(super) struct PostHog {
    http: Client,
    batch: Url,
    api_key: Secret,
}

impl PostHog {
    /// # Errors
    /// When TLS cannot be set up.
    pub(super) fn new(settings: &config::PostHog) -> Result<Self> {
        let http = Client::builder()
            .timeout(ATTEMPT_TIMEOUT)
            .redirect(redirect::Policy::none())
            .user_agent(concat!("runledger/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(Error::internal)?;
        let mut batch = settings.host.clone();
        batch.set_path(&format!("{}/batch/", batch.path().trim_end_matches('/')));
        Ok(Self { http, batch, api_key: settings.api_key.clone() })
    }

    /// Sends events together; again, when that may help.
    ///
    /// # Errors
    /// Why they were not taken, without the key.
    pub(super) async fn send(&self, events: &[Captured]) -> Result<(), String> {
        let mut pauses = PAUSES.into_iter();
        loop {
            let (why, may_help) = match self.try_send(events).await {
                Ok(status) if status.is_success() => return Ok(()),
                Ok(status) => {
                    let busy = [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT];
                    (format!("HTTP status {status}"), status.is_server_error() || busy.contains(&status))
                }
                Err(error) => (error.without_url().to_string(), true),
            };
            match pauses.next().filter(|_| may_help) {
                Some(pause) => sleep(pause).await,
                None => return Err(why),
            }
        }
    }

    async fn try_send(&self, events: &[Captured]) -> reqwest::Result<StatusCode> {
        let body = json!({ "api_key": self.api_key.expose(), "batch": events });
        Ok(self.http.post(self.batch.clone()).json(&body).send().await?.status())
    }
}
