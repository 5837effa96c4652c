//! The example of a foreign component does what it says.

#[path = "../examples/own_module.rs"]
mod example;

#[test]
fn a_foreign_component_shuts_its_module_down_cleanly() {
    // It panics if anything did not go as it should.
    example::main();
}
