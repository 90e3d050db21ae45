"""One HTML file of what runs learnt."""
