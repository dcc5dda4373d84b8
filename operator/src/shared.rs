//! What several tasks read and few write.

use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// A value that is read from many places. Whoever reads may read again meanwhile, in a function further down: with the standard
/// library's lock the second read waits for a writer that waits for the first, and the operator stands still.
///
/// A reader must not write, and a writer must not look at anything else that is shared.
#[derive(Debug, Default)]
pub(crate) struct Shared<T>(RwLock<T>);

impl<T> Shared<T> {
    /// For reading.
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, T> {
        self.0.read_recursive()
    }

    /// For writing, once nobody reads.
    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.0.write()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, mpsc};
    use std::time::{Duration, Instant};

    #[test]
    fn a_reader_reads_again_while_a_writer_waits() {
        let shared = Arc::new(Shared::<u32>::default());
        let (done, is_done) = mpsc::channel();
        let reader = Arc::clone(&shared);
        std::thread::spawn(move || {
            let first = reader.read();
            let writer = Arc::clone(&reader);
            std::thread::spawn(move || *writer.write() += 1);
            // A writer that waits keeps others from reading anew, which is how it is seen to wait.
            let started = Instant::now();
            while reader.0.try_read().is_some() && started.elapsed() < Duration::from_secs(10) {
                std::thread::yield_now();
            }
            let waits = reader.0.try_read().is_none();
            let _ = done.send((waits, *first + *reader.read()));
        });
        let found = is_done.recv_timeout(Duration::from_secs(30));
        assert_eq!(found, Ok((true, 0)), "the second read waits for the writer");
    }
}
