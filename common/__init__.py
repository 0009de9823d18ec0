"""The ground floor: settings, errors, files, machine. Imports nothing of the project's others."""
