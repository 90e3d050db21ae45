# Read by dist_train.sh and dist_test.sh: sets `rendezvous`, torchrun's options for how the processes of all machines meet.
#   NNODES       machines, default 1; MIN:MAX for a run that goes on with fewer, and takes in others (elastic)
#   NODE_RANK    number of this machine, from 0; torchrun gives it where NNODES is MIN:MAX
#   MASTER_ADDR  address of the first machine, default 127.0.0.1
#   MASTER_PORT  a free port there, default 29500; PORT is the name in other OpenMMLab projects
#   RUN_ID       where NNODES is MIN:MAX, a name that no other run has at this address and port
#   LOCAL_ADDR   where NNODES is MIN:MAX, this machine's address, if its name is not known to the others
port=${MASTER_PORT:-${PORT:-29500}}
case ${NNODES:-1} in
*:*)
    rendezvous=(--nnodes "$NNODES" --rdzv_backend c10d --rdzv_endpoint "${MASTER_ADDR:-127.0.0.1}:$port" --rdzv_id "${RUN_ID:-mae_transfer}")
    # PyTorch 2.11 would look for the processes' store on the first machine even after that was lost.
    export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=${TORCH_DISABLE_SHARE_RDZV_TCP_STORE:-1}
    if [ -n "${LOCAL_ADDR:-}" ]; then rendezvous+=(--local_addr "$LOCAL_ADDR"); fi
    ;;
*)
    rendezvous=(--nnodes "${NNODES:-1}" --node_rank "${NODE_RANK:-0}" --master_addr "${MASTER_ADDR:-127.0.0.1}" --master_port "$port")
    ;;
esac
