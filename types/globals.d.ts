// Names of the platform that this package's types use. They are empty where a program's libraries have none, as in one
// for Node without the page's types; where the libraries have them, these lines add nothing.
interface AbortSignal {}
interface Blob {}
interface GPU {}
interface GPUAdapter {}
interface GPUAdapterInfo {}
interface GPUBindGroup {}
interface GPUBuffer {}
interface GPUCommandEncoder {}
interface GPUComputePipeline {}
interface GPUDevice {}
interface GPUQueue {}
interface RequestInit {}
interface Response {}
interface URL {}
