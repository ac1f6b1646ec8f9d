"""What every part uses: files read with good errors, archives, the terminal, versions."""
