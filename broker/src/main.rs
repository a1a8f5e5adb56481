//! The program `mantlet`; everything is in the library.

fn main() -> std::process::ExitCode {
    broker::main()
}
