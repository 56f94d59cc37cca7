//! The capability provider `souk-kv`.

fn main() -> std::process::ExitCode {
    souk_providers::provider::main(souk_providers::ports::run_kv())
}
