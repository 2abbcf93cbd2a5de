"""The association engine (底层关联服务引擎) of an institution: catalogue -> proposals -> a curator's word -> registered links."""
