//! `souk-test-provider`: a simulator as a local server, for developers. `souk test-provider` starts it too.

use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, Parser, Subcommand};
use souk_providers::paypal::PayPal;
use souk_providers::sendgrid::{SendGrid, signature};
use souk_providers::server::{self, Clock, Endpoint, Site};
use souk_providers::stripe::Stripe;
use souk_providers::twilio::Twilio;

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
        /// What signs webhooks; several while one replaces another.
        #[arg(long = "hook-secret", default_value = "whsec_simulator")]
        hook_secrets: Vec<String>,
        #[command(flatten)]
        run: Run,
    },
    /// Checkout with PayPal: set `paypal_api_base` to the address that it prints.
    Paypal {
        /// The port on 127.0.0.1.
        #[arg(long, default_value_t = 12112)]
        port: u16,
        /// The client id that it takes.
        #[arg(long, default_value = "simulator")]
        client_id: String,
        /// The secret that it takes with the client id.
        #[arg(long, default_value = "simulator-secret")]
        client_secret: String,
        /// The id of the webhook.
        #[arg(long, default_value = "WHSIMULATOR")]
        webhook_id: String,
        #[command(flatten)]
        run: Run,
    },
    /// Mail, by SendGrid's API: for clients that are pointed to the address that it prints.
    Sendgrid {
        /// The port on 127.0.0.1.
        #[arg(long, default_value_t = 12113)]
        port: u16,
        /// The API key that it takes.
        #[arg(long, default_value = "SG.simulator")]
        api_key: String,
        /// From what the key follows that signs webhooks.
        #[arg(long, default_value = "simulator")]
        hook_secret: String,
        #[command(flatten)]
        run: Run,
    },
    /// Text messages, by Twilio's API: for clients that are pointed to the address that it prints. Each message names where
    /// its callbacks go.
    Twilio {
        /// The port on 127.0.0.1.
        #[arg(long, default_value_t = 12114)]
        port: u16,
        /// The SID of the account.
        #[arg(long, default_value = "AC00000000000000000000000000000001")]
        account_sid: String,
        /// The token that it takes with the SID, and that signs callbacks.
        #[arg(long, default_value = "simulator")]
        auth_token: String,
        /// Decides names and faults; another one at each start when it is not given.
        #[arg(long)]
        seed: Option<u32>,
    },
}

#[derive(Args)]
struct Run {
    /// Where webhooks go, as http://127.0.0.1:3000/api/v1/hooks/stripe or .../paypal; nowhere when it is not given.
    #[arg(long)]
    hook_url: Option<String>,
    /// Decides names and faults; another one at each start when it is not given.
    #[arg(long)]
    seed: Option<u32>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Cli::parse().provider {
        Provider::Stripe { port, secret_key, hook_secrets, run } => {
            serve::<Stripe>("stripe", port, &secret_key, hook_secrets, run).await
        }
        Provider::Paypal { port, client_id, client_secret, webhook_id, run } => {
            serve::<PayPal>("paypal", port, &format!("{client_id}:{client_secret}"), vec![webhook_id], run).await
        }
        Provider::Sendgrid { port, api_key, hook_secret, run } => {
            println!("verify webhooks with {}", signature::public_key(&hook_secret));
            serve::<SendGrid>("sendgrid", port, &api_key, vec![hook_secret], run).await
        }
        Provider::Twilio { port, account_sid, auth_token, seed } => {
            let (credentials, run) = (format!("{account_sid}:{auth_token}"), Run { hook_url: None, seed });
            serve::<Twilio>("twilio", port, &credentials, vec![auth_token], run).await
        }
    }
}

async fn serve<P: Site>(
    name: &str,
    port: u16,
    credentials: &str,
    secrets: Vec<String>,
    Run { hook_url, seed }: Run,
) -> anyhow::Result<()> {
    // Names that a shop has seen before must not come again for other payments.
    let fresh = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.subsec_nanos());
    let seed = seed.unwrap_or_else(fresh);
    let server = server::start::<P>(port, credentials, seed, Clock::Goes(0)).await?;
    println!("{name} simulator at {}, credentials {credentials}, seed {seed}", server.url);
    server.shared.lock().endpoint = Endpoint { url: hook_url, secrets };
    tokio::select! {
        () = server.run_courier() => {}
        ended = tokio::signal::ctrl_c() => ended?,
    }
    Ok(())
}
