mod brake;
mod decisions;
mod world;
