"""What every part uses: files read and written whole, archives, processes, the terminal, versions."""
