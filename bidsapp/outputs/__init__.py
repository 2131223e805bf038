"""Writers: BIDS-Derivatives names, images, tables, sidecars."""
