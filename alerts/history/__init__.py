"""How good paging has been: its alerts against the incidents that people wrote down (002)."""
