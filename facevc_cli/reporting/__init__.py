"""What a person looks at and listens to: self-contained HTML pages, their plots, and the media inside them."""
