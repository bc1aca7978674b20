//! Example files for operators: configuration, a systemd unit and images. There is no code here.
