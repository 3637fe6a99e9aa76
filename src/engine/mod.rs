//! Routes inputs to the processors and their outputs to the shell; decides nothing itself.
