//! The program; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    executor::run(std::env::args_os().skip(1))
}
