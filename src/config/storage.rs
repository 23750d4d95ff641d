//! Where objects are kept, and the copies of them on this machine.

use std::fmt;
use std::path::{Path, PathBuf};

use reqwest::Url;

use super::problem::Problems;
use super::{Secret, parse, settings};
use crate::domain::object::Bucket;

/// The folder in the data folder for a cache that nobody placed elsewhere.
const CACHE_FOLDER: &str = "cache";
/// Ten years: more is a slip of the pen.
const HOURS_MAX: u64 = 10 * 365 * 24;
/// An exbibyte.
const CACHE_BYTES_MAX: u64 = 1 << 60;

/// Where objects are kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Storage {
    /// The cloud storage whose credentials are known; what is only there is read from it.
    pub cloud: Option<Cloud>,
    /// Whether objects are sent to [`cloud`](Self::cloud), too; never without one.
    pub uses_cloud: bool,
    /// The names of the buckets, in the cloud and on this machine.
    pub buckets: Buckets,
    /// The copies on this machine.
    pub cache: Cache,
    /// How clients reach Runledger, without a slash at the end; when absent, by the address that it listens on.
    pub public_url: Option<Url>,
}

/// A cloud storage and how to sign in there.
#[derive(Debug, Clone, PartialEq)]
pub enum Cloud {
    /// AWS S3, or a server that speaks its protocol.
    S3(S3),
    /// Supabase Storage.
    Supabase(Supabase),
}

/// AWS S3, or a server that speaks its protocol.
#[derive(Debug, Clone, PartialEq)]
pub struct S3 {
    /// The server; when absent, that of AWS for the region.
    pub endpoint: Option<Url>,
    /// The region that requests are signed for.
    pub region: String,
    /// Who signs.
    pub access_key_id: String,
    /// What they sign with.
    pub secret_access_key: Secret,
}

/// Supabase Storage.
#[derive(Debug, Clone, PartialEq)]
pub struct Supabase {
    /// The project, such as `https://PROJECT.supabase.co`.
    pub url: Url,
    /// A key that may do everything in the project: `sb_secret_…`, or the legacy service_role JWT.
    pub service_key: Secret,
}

/// The names of the buckets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Buckets {
    /// Archives of generations.
    pub projects: Bucket,
    /// Large sources of code agents.
    pub code: Bucket,
    /// Archived logs.
    pub logs: Bucket,
}

/// Copies of objects on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    /// Where they are.
    pub folder: PathBuf,
    /// A copy that nobody has read for this long is dropped.
    pub unread_hours_max: u64,
    /// A copy that was fetched this long ago is dropped.
    pub age_hours_max: u64,
    /// All copies together; the one read last stays, however large it is.
    pub bytes_max: u64,
    /// How often the cleanup runs; `None` when it is switched off.
    pub cleanup_interval_hours: Option<u64>,
}

/// Which kind of storage is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Backend {
    Local,
    S3,
    Supabase,
}

impl Storage {
    /// Checks what is written. `project` is the checked `SUPABASE_URL`.
    pub(super) fn check(
        written: &settings::Storage,
        project: Result<Option<&Url>, Wrong>,
        data_dir: Option<&Path>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let backend = match &written.blob_backend {
            Some(name) => problems.parse("RUNLEDGER_BLOB_BACKEND", name, parse::backend),
            None if matches!(project, Ok(None)) || written.supabase_service_key.is_none() => {
                Some(Backend::Local)
            }
            None => Some(Backend::Supabase),
        };
        let wanted = problems.parse("USE_CLOUD_STORAGE", &written.use_cloud_storage, parse::boolean);
        let s3 = s3(written, backend == Some(Backend::S3) && wanted == Some(true), problems);
        let supabase =
            supabase(written, project, backend == Some(Backend::Supabase) && wanted == Some(true), problems);
        let buckets = buckets(written, problems);
        let cache = cache(written, data_dir, problems);
        let public_url = match &written.public_url {
            Some(url) => Some(problems.parse("RUNLEDGER_PUBLIC_URL", url, parse::base_url)?),
            None => None,
        };
        let cloud = match backend? {
            Backend::Local => None,
            Backend::S3 => s3.map(Cloud::S3),
            Backend::Supabase => supabase.map(Cloud::Supabase),
        };
        let uses_cloud = wanted? && cloud.is_some();
        Some(Self { cloud, uses_cloud, buckets: buckets?, cache: cache?, public_url })
    }
}

/// A value that is there and was complained about already.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wrong;

/// What is `needed` and missing is a problem; what is wrong is one in any case.
fn s3(written: &settings::Storage, needed: bool, problems: &mut Problems) -> Option<S3> {
    let region = problems.parse("AWS_REGION", &written.aws_region, parse::region);
    let endpoint = match &written.aws_endpoint_url {
        Some(url) => problems.parse("AWS_ENDPOINT_URL", url, parse::base_url).map(Some),
        None => Some(None),
    };
    let access_key_id = written
        .aws_access_key_id
        .as_ref()
        .and_then(|key| problems.parse("AWS_ACCESS_KEY_ID", key, parse::credential));
    let secret_access_key = written
        .aws_secret_access_key
        .as_ref()
        .and_then(|key| problems.parse_secret("AWS_SECRET_ACCESS_KEY", key.expose(), parse::credential));
    let mut missing = |variable, is_missing: bool| {
        if needed && is_missing {
            problems.add(variable, "must be set for RUNLEDGER_BLOB_BACKEND=s3");
        }
    };
    missing("AWS_ACCESS_KEY_ID", written.aws_access_key_id.is_none());
    missing("AWS_SECRET_ACCESS_KEY", written.aws_secret_access_key.is_none());
    if needed && region.as_deref() == Some("auto") && written.aws_endpoint_url.is_none() {
        problems.add("AWS_ENDPOINT_URL", "must be set when AWS_REGION is auto: AWS has no such region");
    }
    Some(S3 {
        endpoint: endpoint?,
        region: region?,
        access_key_id: access_key_id?,
        secret_access_key: Secret::from(secret_access_key?),
    })
}

fn supabase(
    written: &settings::Storage,
    project: Result<Option<&Url>, Wrong>,
    needed: bool,
    problems: &mut Problems,
) -> Option<Supabase> {
    let service_key = written
        .supabase_service_key
        .as_ref()
        .and_then(|key| problems.parse_secret("SUPABASE_SERVICE_KEY", key.expose(), parse::credential));
    let mut missing = |variable, is_missing: bool| {
        if needed && is_missing {
            problems.add(variable, "must be set for RUNLEDGER_BLOB_BACKEND=supabase");
        }
    };
    missing("SUPABASE_URL", matches!(project, Ok(None)));
    missing("SUPABASE_SERVICE_KEY", written.supabase_service_key.is_none());
    Some(Supabase { url: project.ok()??.clone(), service_key: Secret::from(service_key?) })
}

fn buckets(written: &settings::Storage, problems: &mut Problems) -> Option<Buckets> {
    let mut bucket = |variable, name: &str| {
        // What Bucket says is a whole clause; a parser's error completes "it must be …".
        problems.parse(variable, name, |name| {
            Bucket::parse(name).map_err(|error| error.trim_start_matches("must be ").to_owned())
        })
    };
    let projects = bucket("SUPABASE_BUCKET", &written.supabase_bucket);
    let code = bucket("RUNLEDGER_CODE_BUCKET", &written.code_bucket);
    let logs = bucket("RUNLEDGER_LOG_BUCKET", &written.log_bucket);
    Some(Buckets { projects: projects?, code: code?, logs: logs? })
}

fn cache(written: &settings::Storage, data_dir: Option<&Path>, problems: &mut Problems) -> Option<Cache> {
    let folder = match &written.cache_path {
        Some(path) => problems.parse("CACHE_PATH", path, parse::folder),
        None => data_dir.map(|folder| folder.join(CACHE_FOLDER)),
    };
    let mut hours = |variable, value: &str| problems.parse(variable, value, parse::number(1..=HOURS_MAX));
    let unread_hours_max = hours("CACHE_TTL_HOURS", &written.cache_ttl_hours);
    let age_hours_max = hours("MAX_CACHE_AGE_HOURS", &written.max_cache_age_hours);
    let interval_hours = hours("CLEANUP_INTERVAL_HOURS", &written.cleanup_interval_hours);
    let bytes = parse::number(0..=CACHE_BYTES_MAX);
    let bytes_max = problems.parse("RUNLEDGER_CACHE_BYTES_MAX", &written.cache_bytes_max, bytes);
    let cleans = problems.parse("AUTO_CLEANUP_ENABLED", &written.auto_cleanup_enabled, parse::boolean)?;
    Some(Cache {
        folder: folder?,
        unread_hours_max: unread_hours_max?,
        age_hours_max: age_hours_max?,
        bytes_max: bytes_max?,
        cleanup_interval_hours: interval_hours.map(|hours| cleans.then_some(hours))?,
    })
}

/// Names the storage without its keys.
impl fmt::Display for Cloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::S3(S3 { endpoint: Some(endpoint), .. }) => {
                write!(f, "S3 at {}", endpoint.as_str().trim_end_matches('/'))
            }
            Self::S3(S3 { region, .. }) => write!(f, "AWS S3 in {region}"),
            Self::Supabase(Supabase { url, .. }) => {
                write!(f, "Supabase Storage at {}", url.as_str().trim_end_matches('/'))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Problem, Settings};
    use super::*;

    const PROJECT: [&str; 2] = ["--supabase-url", "https://p.supabase.co"];
    const SERVICE_KEY: [&str; 2] = ["--supabase-service-key", "sb_secret_hunter2"];
    const ACCESS_KEY: [&str; 2] = ["--aws-access-key-id", "AKIAEXAMPLE"];
    const SECRET_KEY: [&str; 2] = ["--aws-secret-access-key", "hunter2"];
    const S3: [&str; 2] = ["--blob-backend", "s3"];
    const SUPABASE: [&str; 2] = ["--blob-backend", "supabase"];
    const UNUSED: [&str; 2] = ["--use-cloud-storage", "no"];

    fn check(flags: &[[&str; 2]]) -> Result<Storage, Vec<Problem>> {
        Settings::from_flags(flags.as_flattened()).unwrap().check().map(|config| config.storage)
    }

    fn complaints(flags: &[[&str; 2]]) -> Vec<&'static str> {
        check(flags).unwrap_err().iter().map(|problem| problem.variable).collect()
    }

    #[test]
    fn without_settings_everything_stays_on_this_machine() {
        let storage = check(&[]).unwrap();
        assert_eq!((storage.cloud, storage.uses_cloud, storage.public_url), (None, false, None));
        let Buckets { projects, code, logs } = &storage.buckets;
        assert_eq!(
            [projects, code, logs].map(Bucket::as_str),
            ["codebegen-projects", "code-agents", "agent-logs"]
        );
        assert_eq!(
            storage.cache,
            Cache {
                folder: "./data/cache".into(),
                unread_hours_max: 24,
                age_hours_max: 24,
                bytes_max: 10 << 30,
                cleanup_interval_hours: Some(6),
            }
        );
    }

    #[test]
    fn supabase_is_used_when_its_url_and_key_are_known() {
        assert_eq!(check(&[PROJECT]).unwrap().cloud, None);
        assert_eq!(check(&[SERVICE_KEY]).unwrap().cloud, None);
        let storage = check(&[PROJECT, SERVICE_KEY]).unwrap();
        assert!(matches!(storage.cloud, Some(Cloud::Supabase(_))) && storage.uses_cloud);
        assert_eq!(storage.cloud.unwrap().to_string(), "Supabase Storage at https://p.supabase.co");
        // Unless the operator says otherwise.
        assert_eq!(check(&[PROJECT, SERVICE_KEY, ["--blob-backend", "local"]]).unwrap().cloud, None);
        let storage = check(&[PROJECT, SERVICE_KEY, S3, ACCESS_KEY, SECRET_KEY]).unwrap();
        assert_eq!(storage.cloud.unwrap().to_string(), "AWS S3 in us-east-1");
    }

    #[test]
    fn what_a_backend_needs_is_asked_for() {
        assert_eq!(complaints(&[S3]), ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]);
        assert_eq!(complaints(&[S3, ACCESS_KEY]), ["AWS_SECRET_ACCESS_KEY"]);
        let auto = ["--aws-region", "auto"];
        assert_eq!(complaints(&[S3, ACCESS_KEY, SECRET_KEY, auto]), ["AWS_ENDPOINT_URL"]);
        assert_eq!(complaints(&[SUPABASE]), ["SUPABASE_URL", "SUPABASE_SERVICE_KEY"]);
        // A wrong value is no missing one.
        let wrong = ["--supabase-url", "p.supabase.co"];
        assert_eq!(complaints(&[SUPABASE, SERVICE_KEY, wrong]), ["SUPABASE_URL"]);
        assert_eq!(complaints(&[SERVICE_KEY, wrong]), ["SUPABASE_URL"]);
    }

    #[test]
    fn storage_that_is_not_used_is_still_read_if_it_can_be() {
        let storage = check(&[UNUSED, PROJECT, SERVICE_KEY]).unwrap();
        assert!(storage.cloud.is_some() && !storage.uses_cloud);
        let storage = check(&[UNUSED, S3]).unwrap();
        assert!(storage.cloud.is_none() && !storage.uses_cloud);
    }

    #[test]
    fn the_service_key_does_not_decide_whose_tokens_count() {
        let keys = |flags: &[[&str; 2]]| {
            Settings::from_flags(flags.as_flattened()).unwrap().check().unwrap().tokens.keys
        };
        let own = ["--jwt-secret", "a secret of at least thirty-two bytes"];
        assert_eq!(keys(&[SERVICE_KEY]), keys(&[]));
        assert_eq!(keys(&[PROJECT, SERVICE_KEY]), keys(&[PROJECT]));
        assert_eq!(keys(&[own, PROJECT, SERVICE_KEY]), keys(&[own, PROJECT]));
    }

    #[test]
    fn the_cleanup_can_be_switched_off() {
        for no in ["false", "0", "no", "No"] {
            let storage = check(&[["--auto-cleanup-enabled", no]]).unwrap();
            assert_eq!(storage.cache.cleanup_interval_hours, None);
        }
    }

    #[test]
    fn keys_print_as_stars() {
        let storage = check(&[S3, ACCESS_KEY, SECRET_KEY]).unwrap();
        let other = check(&[PROJECT, SERVICE_KEY]).unwrap();
        let printed = format!("{storage:?} {other:?}");
        assert!(!printed.contains("hunter2"), "{printed}");
    }
}
