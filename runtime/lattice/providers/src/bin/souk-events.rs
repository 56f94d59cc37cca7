//! The capability provider `souk-events`.

fn main() -> std::process::ExitCode {
    souk_providers::provider::main(souk_providers::events::run())
}
