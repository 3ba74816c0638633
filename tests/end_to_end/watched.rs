//! A program that is under way, and what it has said so far.

use std::io::{BufRead, BufReader, Read};
use std::process::Child;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::place::{Place, Ran, until};

pub struct Watched {
    pub child: Child,
    stderr: Arc<Mutex<String>>,
    reading: JoinHandle<()>,
}

impl Watched {
    pub fn start(place: &Place, arguments: &[&str]) -> Watched {
        Watched::of(place.start(arguments))
    }

    /// A program whose outputs are piped.
    pub fn of(mut child: Child) -> Watched {
        let stderr = Arc::new(Mutex::new(String::new()));
        let (pipe, said) = (child.stderr.take().unwrap(), Arc::clone(&stderr));
        let reading = std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines() {
                let mut said = said.lock().unwrap();
                *said += &line.unwrap();
                said.push('\n');
            }
        });
        Watched {
            child,
            stderr,
            reading,
        }
    }

    pub fn said(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    pub fn until_said(&self, words: &str) {
        until(|| self.said().contains(words), words);
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    pub fn wait(mut self) -> Ran {
        let mut stdout = String::new();
        let mut pipe = self.child.stdout.take().unwrap();
        pipe.read_to_string(&mut stdout).unwrap();
        let status = self.child.wait().unwrap();
        self.reading.join().unwrap();
        let stderr = self.stderr.lock().unwrap().clone();
        Ran {
            exit: status.code().unwrap_or(-1),
            stdout,
            stderr,
        }
    }
}
