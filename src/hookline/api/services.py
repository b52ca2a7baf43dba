from hookline.services import Services  # moved: import it from hookline.services

__all__ = ["Services"]
