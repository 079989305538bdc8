//! (see the module list of `stack`)
