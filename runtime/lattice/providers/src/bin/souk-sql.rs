//! The capability provider `souk-sql`.

fn main() -> std::process::ExitCode {
    souk_providers::provider::main(souk_providers::ports::run_sql())
}
