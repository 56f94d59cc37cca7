//! `souk-test-provider stripe`: a simulator as a local server, for developers. `souk test-provider stripe` starts it too.

use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Parser, Subcommand};
use souk_providers::server::{self, Clock};

/// Simulates an outside company on this machine. Nothing is charged, and all is forgotten when it ends.
#[derive(Parser)]
#[command(version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    provider: Provider,
}

#[derive(Subcommand)]
enum Provider {
    /// Card payments: set `stripe_api_base` to the address that it prints.
    Stripe {
        /// The port on 127.0.0.1.
        #[arg(long, default_value_t = 12111)]
        port: u16,
        /// The secret key that it takes.
        #[arg(long, default_value = "sk_test_simulator")]
        secret_key: String,
        /// Where webhooks go, as http://127.0.0.1:3000/api/v1/hooks/stripe; nowhere when it is not given.
        #[arg(long)]
        hook_url: Option<String>,
        /// What signs webhooks; several while one replaces another.
        #[arg(long = "hook-secret", default_value = "whsec_simulator")]
        hook_secrets: Vec<String>,
        /// Decides names and faults; another one at each start when it is not given.
        #[arg(long)]
        seed: Option<u32>,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Provider::Stripe { port, secret_key, hook_url, hook_secrets, seed } = Cli::parse().provider;
    // Names that a shop has seen before must not come again for other payments.
    let fresh = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.subsec_nanos());
    let seed = seed.unwrap_or_else(fresh);
    let server = server::start(port, &secret_key, seed, Clock::Goes(0)).await?;
    println!("stripe simulator at {}, secret key {secret_key}, seed {seed}", server.url);
    server.shared.lock().endpoint = server::Endpoint { url: hook_url, secrets: hook_secrets };
    tokio::select! {
        () = server.run_courier() => {}
        ended = tokio::signal::ctrl_c() => ended?,
    }
    Ok(())
}
