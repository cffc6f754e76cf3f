"""Operations: plans over many VMs, carried out job by job and recorded before each."""
