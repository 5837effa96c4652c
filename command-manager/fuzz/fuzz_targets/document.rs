//! Bytes read as a document.
#![no_main]

#[path = "../rules.rs"]
mod rules;

use command_manager::WireForm;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| rules::hold(WireForm::Document, bytes));
