"""What workers do: turns decide, watchers follow, the sweep wakes what stands still."""
