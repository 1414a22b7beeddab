# The verbs are those of ./dev, which needs no make. Arguments: make test ARGS="-k session"
.DEFAULT_GOAL := help
.PHONY: help setup demo test check lint types format integration deployment planted mutants simulate profile guard docs lock

help setup demo test check lint types format integration deployment planted mutants simulate profile guard docs lock:
	@./dev $@ $(ARGS)
