"""Reports, each one self-contained HTML file."""
