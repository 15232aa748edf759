use std::io::{Read, Write};
/// A point.
#[derive(Debug)]
pub struct P { x: i32 }
impl P {
    /// New.
    pub fn new() -> Self { helper(1); vec![1]; Self { x: 0 } }
}
fn main() { P::new(); }
