//! What Runledger promises, tried from outside: every test talks to a real server process over its public API, on
//! SQLite and on PostgreSQL. One file holds the tests of one promise; `harness` holds what they stand on.

mod harness;

mod analytics;
mod architecture;
mod archive;
mod bad_input;
mod changes;
mod cli;
mod code_agents;
mod compacting;
mod comparing;
mod contract;
mod crash;
mod deletions;
mod endurance;
mod executions;
mod exports;
mod generations;
mod import;
mod lists;
mod logs;
mod long_lists;
mod metrics;
mod migrations;
mod ownership;
mod reconnecting;
mod retries;
mod search;
mod shared_tails;
mod silence;
mod statements;
mod stats;
mod storage;
mod tails;
mod two_processes;
mod visual;
