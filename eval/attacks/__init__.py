"""What an attacker does: personalization of diffusion models on somebody's pictures."""
