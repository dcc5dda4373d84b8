//! Runs tests one after another on something that they share and that is slow to start.

use crate::Lab;
use libtest_mimic::{Arguments, Failed, Trial};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// What the tests of a program share.
pub trait Shared: Send + Sync + Sized + 'static {
    /// Starts it, with the first test that needs it.
    fn start() -> impl Future<Output = Self>;
    /// The lab in it.
    fn lab(&self) -> &Lab;
    /// Brings it to where tests begin.
    fn before(&self) -> impl Future<Output = ()> {
        async {}
    }
    /// Looks whether what has to hold whatever a test is about did hold.
    fn after(&self) {}
}

/// A test, boxed so that all of them are of one type.
pub type Test<W> = fn(Arc<W>) -> Pin<Box<dyn Future<Output = ()>>>;

/// Tests as [`run`] takes them, by `module::name`.
#[macro_export]
macro_rules! tests {
    ($($module:ident :: $name:ident),* $(,)?) => {
        vec![$((
            concat!(stringify!($module), "::", stringify!($name)),
            (|world| Box::pin($module::$name(world))) as $crate::runner::Test<_>,
        )),*]
    };
}

/// Runs the tests in this order, and after them those that take long, which are left out unless `--ignored` or
/// `--include-ignored` is given. Where one fails, the lab's logs stay.
pub fn run<W: Shared>(tests: Vec<(&'static str, Test<W>)>, long: Vec<(&'static str, Test<W>)>) -> ! {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let shared: Arc<OnceLock<(tokio::runtime::Runtime, Arc<W>)>> = Arc::default();
    let all = tests.into_iter().map(|test| (test, false)).chain(long.into_iter().map(|test| (test, true)));
    let trials = all.map(|((name, test), long)| {
        let shared = Arc::clone(&shared);
        let trial = Trial::test(name, move || {
            let (runtime, world) = shared.get_or_init(|| {
                let runtime = tokio::runtime::Runtime::new().unwrap();
                let world = Arc::new(runtime.block_on(W::start()));
                (runtime, world)
            });
            let started = Instant::now();
            let ran = std::panic::catch_unwind(AssertUnwindSafe(|| {
                runtime.block_on(async {
                    world.before().await;
                    test(Arc::clone(world)).await;
                    world.after();
                });
            }));
            println!("{name}: {:.1} s", started.elapsed().as_secs_f64());
            ran.map_err(|panic| {
                let text = panic.downcast_ref::<String>().cloned();
                Failed::from(text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned())).unwrap_or_default())
            })
        });
        trial.with_ignored_flag(long)
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    if conclusion.has_failed()
        && let Some((_, world)) = shared.get()
    {
        world.lab().keep_logs();
    }
    // The lab goes down with its last owner.
    drop(shared);
    conclusion.exit();
}
