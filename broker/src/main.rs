//! The program `mantlet`; everything but its allocator is in the library.

/// Gives memory back after a crowd, which the C library's does not
/// (docs/adr/0015-allocator.md).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    broker::main()
}
