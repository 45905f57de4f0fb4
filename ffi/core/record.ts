/**
 * What TypeScript shares with the native core: its numbers, and where the fields of its structures are.
 * `native/src/core.h` says what they mean. Generated from `native/src/abi.zig` by `deno task record`.
 *
 * `…Word` is the place of a field that is one word of 32 or 64 bits, among words of that width. `…ByteOffset` is that of
 * any other field, and of all fields of a call, which is written at byte offsets.
 *
 * @module
 */

export const abiVersion = 16;
export const registerWords = 16;
export const stackWords = 128;
export const argumentWords = 144;
export const resultWords = 6;
export const maxIsolates = 255;
export const thunkBlockLength = 4096;
export const maxThunkBlocks = 256;
export const thunkChunkLength = 16;
export const maxHandleSlots = 4194304;
export const handleLinksByteOffset = 33554432;
export const maxCalls = 65536;
export const maxCallThreads = 1024;
export const defaultCallThreads = 64;
export const maxChannels = 16384;
export const eventHeaderWords = 2;
export const attentionError = 1;
export const attentionNotice = 2;
export const attentionOverflow = 4;
export const attentionRelease = 8;
export const attentionInVain = 16;
export const contractMask = 3;
export const contractSame = 0;
export const contractPost = 1;
export const contractWait = 2;
export const resultScalar = 0;
export const resultRegisters = 1;
export const resultMemory = 2;
export const resultFetched = 3;
export const resultNarrow = 128;
export const stepCall = 0;
export const stepRead = 1;
export const stepCopy = 2;
export const stepConstant = 3;
export const stepCallWord = 4;
export const stepCallFloat = 5;
export const stepCallWithFloat = 6;
export const stepReadWord = 7;
export const stepReadHalf = 8;
export const stepNumber = 9;
export const kindWord = 0;
export const kindU8 = 1;
export const kindI8 = 2;
export const kindU16 = 3;
export const kindI16 = 4;
export const kindU32 = 5;
export const kindI32 = 6;
export const kindF32 = 7;
export const kindF64 = 8;
export const kindNone = 9;
export const fetchOperands = 4;
export const maxFetches = 24;
export const operandStack = 256;
export const operandFetched = 512;
export const onFullBlock = 0;
export const onFullDropNewest = 1;
export const onFullDropOldest = 2;
export const nextFinish = 0;
export const nextTake = 1;
export const nextLinger = 2;
export const nextPoll = 3;
export const openPinned = 1;
export const openGlobal = 2;
export const openDeepBind = 4;
export const operationAttach = 0;
export const operationAttachBeside = 1;
export const operationIsolateCount = 2;
export const operationRegistryIds = 3;
export const operationClaimThunks = 4;
export const operationThunkCount = 5;
export const operationLimitCallThreads = 6;
export const operationCallThreadCount = 7;
export const operationOpenLibrary = 8;
export const operationOpenReason = 9;
export const operationFindSymbol = 10;
export const operationFindVariable = 11;
export const operationCloseLibrary = 12;
export const operationStackCount = 13;
export const operationSizeStacks = 14;
export const operationRestStacks = 15;
export const operationResidentStacks = 16;
export const operationWatchStacks = 17;
export const operationEndProcess = 18;
export const tailResultNone = 0;
export const tailResultInteger = 1;
export const tailResultFloat = 2;
export const stackStateReturned = 0;
export const stackStateNoMemory = 1;
export const stackStateUnknown = 2;
export const stackStateShadowed = 3;
export const stackStateCallsBack = 4;

// A `belay_isolate`.
export const isolateByteLength = 1344;
export const argumentsByteOffset = 0;
export const resultWord = 144;
export const trampolineWord = 145;
export const chunkSlotsWord = 146;
export const chunkCodeWord = 147;
export const callTokenWord = 148;
export const thunkStrideWord = 298;
export const callbackWord = 299;
export const tagWord = 300;
export const handleSlotsWord = 301;
export const overflowWord = 302;
export const nativeCallWord = 303;
export const handleReleaseWord = 152;
export const channelSendWord = 153;
export const misplacedCallsWord = 308;
export const attentionWord = 309;
export const noticesWord = 310;
export const droppedWord = 311;
export const timeoutsWord = 312;
export const liveWord = 313;
export const releasedWord = 314;
export const staleReleasesWord = 315;
export const completedWord = 316;
export const pollsWord = 317;
export const inVainCallWord = 318;
export const tailCallWord = 319;
export const answeredWord = 320;
export const suspendedWord = 321;
export const watchedWord = 322;
export const resultsByteOffset = 1296;

// A `belay_thunk`.
export const thunkByteLength = 64;
export const thunkIsolateWord = 0;
export const thunkFallbackWord = 1;
export const thunkLayoutWord = 4;
export const thunkMisplacedCallsWord = 5;
export const thunkIndexWord = 6;
export const thunkStateWord = 7;
export const thunkStringsWord = 4;
export const thunkQueueWord = 5;
export const thunkTimeoutMsWord = 12;
export const thunkDroppedWord = 13;
export const thunkTimeoutsByteOffset = 56;
export const thunkInVainByteOffset = 58;
export const thunkNextNoticeWord = 15;

// A `belay_fetch`.
export const fetchByteLength = 32;
export const fetchFunctionByteOffset = 0;
export const fetchByteOffsetByteOffset = 8;
export const fetchOperandsByteOffset = 16;
export const fetchTargetByteOffset = 24;
export const fetchStepByteOffset = 26;
export const fetchKindByteOffset = 27;
export const fetchOperandCountByteOffset = 28;
export const fetchFloatsByteOffset = 29;

// A `belay_fetching`.
export const fetchingByteLength = 816;
export const fetchingFallbackByteOffset = 0;
export const fetchingFunctionByteOffset = 8;
export const fetchingByteOffsetByteOffset = 16;
export const fetchingOperandsByteOffset = 24;
export const fetchingTargetByteOffset = 32;
export const fetchingStepByteOffset = 34;
export const fetchingKindByteOffset = 35;
export const fetchingOperandCountByteOffset = 36;
export const fetchingFloatsByteOffset = 37;
export const fetchingCountByteOffset = 40;
export const fetchingStepsByteOffset = 48;

// A `belay_call`.
export const callByteLength = 1296;
export const callArgumentsByteOffset = 0;
export const callFunctionByteOffset = 1152;
export const callStackWordsByteOffset = 1160;
export const callIndirectResultByteOffset = 1168;
export const callIntegerResultsByteOffset = 1176;
export const callFloatResultsByteOffset = 1192;
export const callIsolateByteOffset = 1224;
export const callNextByteOffset = 1232;
export const callIndexByteOffset = 1240;
export const callCompletedNextByteOffset = 1244;
export const callStringResultByteOffset = 1248;
export const callStringByteOffset = 1256;
export const callCaptureErrorByteOffset = 1264;
export const callErrorByteOffset = 1268;
export const callStackByteOffset = 1272;
export const callTailResultByteOffset = 1280;
export const callSuspendsByteOffset = 1284;
export const callStackKilobytesByteOffset = 1288;

// A `belay_channel_words`.
export const channelByteLength = 32;
export const channelIdWord = 0;
export const channelRingWord = 1;
export const channelLengthWord = 4;
export const channelBatchWord = 5;
export const channelDroppedWord = 6;
